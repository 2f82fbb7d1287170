"""The clock of the benchmarks: `ddnn_runtime.latency`, which waits for the GPU if there is one."""

import time
from collections.abc import Mapping

import torch

from ddnn_runtime import latency
from ddnn_runtime.latency import WARMUP, Work, milliseconds, quartiles, ratio

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
    return latency.seconds_of(work, calls, synchronize)


def interleaved(
    works: Mapping[str, Work], repeats: int, warmup: int = WARMUP, calls: int = 1
) -> dict[str, list[float]]:
    """Seconds of each work in each turn; see `ddnn_runtime.latency.interleaved`."""
    return latency.interleaved(works, repeats, warmup, calls, synchronize)
