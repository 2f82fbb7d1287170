"""Time several things against each other in one run, so that a noisy machine disturbs all alike.

They take turns, in another order in each turn. A ratio is formed within each turn, where both sides met the same
machine, and the median over the turns is what counts.
"""

import random
import time
from collections.abc import Callable, Mapping, Sequence
from math import sqrt
from statistics import median, quantiles

import torch

Work = Callable[[], object]


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def now() -> float:
    """Seconds on a clock, when all that was asked of the GPU is done."""
    synchronize()
    return time.perf_counter()


def seconds_of(work: Work, calls: int = 1) -> float:
    """Wall time of a call, the mean of so many in a row."""
    began = now()
    for _ in range(calls):
        work()
    return (now() - began) / calls


def interleaved(works: Mapping[str, Work], repeats: int, warmup: int = 2, calls: int = 1) -> dict[str, list[float]]:
    """Seconds of each work in each turn.

    Args:
        works: what to time, by name.
        repeats: turns that count, at least 2.
        warmup: turns before them that do not.
        calls: calls in a turn, for works that take microseconds.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    shuffled = random.Random(0)  # whoever always runs second finds other things in the caches
    for turn in range(warmup + repeats):
        for name in shuffled.sample(list(works), len(works)):
            taken = seconds_of(works[name], calls)
            if turn >= warmup:
                seconds[name].append(taken)
    return seconds


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
