"""Time several things against each other in one run, so that a noisy machine disturbs all alike.

They take turns, in another order in each turn. A ratio is formed within each turn, where both sides met the same
machine, and the median over the turns is what counts.

Nothing here imports torch: a device that runs exported graphs measures too.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median, quantiles

Work = Callable[[], object]

WARMUP = 2
"""Turns that do not count, because caches, allocators and compilers get ready in them."""
FEWEST_TURNS, MOST_TURNS = 10, 1000
"""Of a measurement that is given a time: however slow the works are, and however fast."""


def no_wait() -> None:
    """What there is to wait for where a call returns when its work is done."""


def seconds_of(work: Work, wait: Work = no_wait) -> float:
    """Wall time of a call; `wait` returns when all that was asked of a GPU is done."""
    wait()
    began = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - began


def turns(works: Mapping[str, Work], wait: Work = no_wait, *, settle: bool = False) -> Iterator[dict[str, float]]:
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
            turn[name] = seconds_of(works[name], wait)
        yield turn


def turns_for(
    works: Mapping[str, Work], budget: float, wait: Work = no_wait, *, settle: bool = False, most: float = inf
) -> Iterator[dict[str, float]]:
    """As many turns as the time allows, without those to warm up: the seconds of each work in each of them.

    Args:
        works: what to time, by name.
        budget: seconds for the turns that count; at least `FEWEST_TURNS` are made.
        wait: returns when all that was asked of a GPU is done.
        settle: see `turns`.
        most: turns, however fast the works are.
    """
    each = turns(works, wait, settle=settle)
    for _ in range(WARMUP):
        next(each)
    made, end = 0, time.perf_counter() + budget
    while made < FEWEST_TURNS or (made < most and time.perf_counter() < end):
        yield next(each)
        made += 1


def interleaved_for(works: Mapping[str, Work], budget: float, wait: Work = no_wait) -> dict[str, list[float]]:
    """Seconds of each work in each of as many turns as the time allows, each as fast as where it runs alone.

    Args:
        works: what to time, by name.
        budget: seconds for the turns that count; at least `FEWEST_TURNS` are made, at most `MOST_TURNS`.
        wait: returns when all that was asked of a GPU is done.
    """
    return by_name(works, turns_for(works, budget, wait, settle=True, most=MOST_TURNS))


def by_name(works: Iterable[str], taken: Iterable[Mapping[str, float]]) -> dict[str, list[float]]:
    """The seconds of each work in each turn, from the seconds of all works in each turn."""
    each = list(taken)
    return {name: [turn[name] for turn in each] for name in works}


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
    """What `interleaved_for` gave, in figures.

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
