"""Time several things against each other in one run, so that a noisy machine disturbs all alike.

They take turns, in another order in each turn. A ratio is formed within each turn, where both sides met the same
machine, and the median over the turns is what counts.

Nothing here imports torch: a device that runs exported graphs measures too.
"""

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import median, quantiles

Work = Callable[[], object]

WARMUP = 2
"""Turns that do not count, because caches, allocators and compilers get ready in them."""
FEWEST_TURNS, MOST_TURNS = 10, 1000
"""Of a measurement that is given a time: however slow the works are, and however fast."""


def no_wait() -> None:
    """What there is to wait for where a call returns when its work is done."""


def seconds_of(work: Work, calls: int = 1, wait: Work = no_wait) -> float:
    """Wall time of a call, the mean of so many in a row; `wait` returns when all that was asked of a GPU is done."""
    wait()
    began = time.perf_counter()
    for _ in range(calls):
        work()
    wait()
    return (time.perf_counter() - began) / calls


def turns(
    works: Mapping[str, Work], calls: int = 1, wait: Work = no_wait, *, settle: bool = False
) -> Iterator[dict[str, float]]:
    """Turns without end: the seconds of each work in each of them.

    With `settle`, a work is called once before it is timed, so that it finds its own weights in the caches, and its
    threads awake, as it does where it runs alone.
    """
    shuffled = random.Random(0)  # whoever always runs second finds other things in the caches
    while True:
        turn = {}
        for name in shuffled.sample(list(works), len(works)):
            if settle:
                works[name]()
            turn[name] = seconds_of(works[name], calls, wait)
        yield turn


def interleaved(
    works: Mapping[str, Work], repeats: int, warmup: int = WARMUP, calls: int = 1, wait: Work = no_wait
) -> dict[str, list[float]]:
    """Seconds of each work in each turn.

    Args:
        works: what to time, by name.
        repeats: turns that count.
        warmup: turns before them that do not.
        calls: calls in a turn, for works that take microseconds.
        wait: returns when all that was asked of a GPU is done.
    """
    each = turns(works, calls, wait)
    for _ in range(warmup):
        next(each)
    return _by_name(works, [next(each) for _ in range(repeats)])


def interleaved_for(works: Mapping[str, Work], budget: float, wait: Work = no_wait) -> dict[str, list[float]]:
    """Seconds of each work in each of as many turns as the time allows, each as fast as where it runs alone.

    Args:
        works: what to time, by name.
        budget: seconds for the turns that count; at least `FEWEST_TURNS` are made, at most `MOST_TURNS`.
        wait: returns when all that was asked of a GPU is done.
    """
    each = turns(works, wait=wait, settle=True)
    for _ in range(WARMUP):
        next(each)
    taken: list[dict[str, float]] = []
    end = time.perf_counter() + budget
    while len(taken) < FEWEST_TURNS or (len(taken) < MOST_TURNS and time.perf_counter() < end):
        taken.append(next(each))
    return _by_name(works, taken)


@dataclass(frozen=True)
class Latency:
    """How long a call took, over the turns of a measurement.

    Args:
        median_ms: the median, in milliseconds.
        p95_ms: the 95th percentile, in milliseconds: one call in twenty took longer.
        ratio: to the reference, formed within each turn; the median over the turns.
        turns: how many calls were timed.
    """

    median_ms: float
    p95_ms: float
    ratio: float
    turns: int

    def __post_init__(self) -> None:
        assert self.turns >= 2


def latencies(seconds: Mapping[str, Sequence[float]], reference: str) -> dict[str, Latency]:
    """What `interleaved` gave, in figures.

    >>> latencies({"half": [0.25, 0.25], "full": [0.5, 1.0]}, "full")["half"]
    Latency(median_ms=250.0, p95_ms=250.0, ratio=0.375, turns=2)
    """
    return {
        name: Latency(
            median_ms=1e3 * median(taken),
            p95_ms=1e3 * quantiles(taken, n=20, method="inclusive")[-1],
            ratio=median(a / b for a, b in zip(taken, seconds[reference], strict=True)),
            turns=len(taken),
        )
        for name, taken in seconds.items()
    }


def milliseconds(seconds: Sequence[float]) -> dict[str, float]:
    """Median and quartiles, in milliseconds."""
    low, high = quartiles(seconds)
    return {"median_ms": 1e3 * median(seconds), "low_ms": 1e3 * low, "high_ms": 1e3 * high}


def ratio(one: Sequence[float], *others: Sequence[float]) -> dict[str, float]:
    """One time over the sum of others in the same turn: median, quartiles, and how sure the median is.

    `plus_minus` is about a 95 % interval of the median, 1.57 times the distance of the quartiles over the root of the
    number of turns (McGill, Tukey and Larsen, The American Statistician 32, 1978, "notched" box plots).
    """
    ratios = [a / sum(b) for a, *b in zip(one, *others, strict=True)]
    low, high = quartiles(ratios)
    return {"ratio": median(ratios), "low": low, "high": high, "plus_minus": 1.57 * (high - low) / sqrt(len(ratios))}


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """The lower and the upper one."""
    low, _, high = quantiles(values, n=4, method="inclusive")
    return low, high


def _by_name(works: Mapping[str, Work], taken: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    return {name: [turn[name] for turn in taken] for name in works}
