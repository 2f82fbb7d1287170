"""The clock of the benchmarks: turns of `ddnn_runtime.latency` that wait for the GPU, if there is one, and what
benchmarks say of them."""

import time
from collections.abc import Mapping, Sequence
from itertools import islice
from math import sqrt
from statistics import median, quantiles

import torch

from ddnn_runtime import latency
from ddnn_runtime.latency import WARMUP, Work, by_name, turns

__all__ = ["Work", "interleaved", "milliseconds", "now", "quartiles", "ratio", "seconds_of", "synchronize"]


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
    return latency.seconds_of(_in_a_row(work, calls), synchronize) / calls


def interleaved(
    works: Mapping[str, Work], repeats: int, warmup: int = WARMUP, calls: int = 1
) -> dict[str, list[float]]:
    """Seconds of each work in each turn.

    Args:
        works: what to time, by name.
        repeats: turns that count.
        warmup: turns before them that do not.
        calls: calls in a turn, for works that take microseconds.
    """
    each = turns({name: _in_a_row(work, calls) for name, work in works.items()}, synchronize)
    taken = by_name(works, islice(each, warmup, warmup + repeats))
    return {name: [seconds / calls for seconds in of_turns] for name, of_turns in taken.items()}


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


def _in_a_row(work: Work, calls: int) -> Work:
    """So many calls as one; a single one as it is."""
    if calls == 1:
        return work

    def row() -> None:
        for _ in range(calls):
            work()

    return row
