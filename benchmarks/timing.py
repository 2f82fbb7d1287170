"""Time several things against each other in one run: interleaved, so that a noisy machine disturbs all alike."""

import json
import time
from collections.abc import Callable, Mapping
from statistics import median, quantiles
from typing import Any

import torch

from ddnn.reports import print_table

Work = Callable[[], object]


def synchronize() -> None:
    """Wait for the GPU, if there is one."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def interleaved(works: Mapping[str, Work], repeats: int, warmup: int = 2) -> dict[str, list[float]]:
    """Seconds of each work, `repeats` times in turn, after `warmup` turns that do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(warmup + repeats):
        for name, work in works.items():
            synchronize()
            began = time.perf_counter()
            work()
            synchronize()
            if turn >= warmup:
                seconds[name].append(time.perf_counter() - began)
    return seconds


def spread(seconds: list[float]) -> dict[str, float]:
    """Median and quartiles in milliseconds."""
    low, _, high = quantiles(seconds, n=4)
    return {"median_ms": 1e3 * median(seconds), "low_ms": 1e3 * low, "high_ms": 1e3 * high}


def ratio(one: list[float], *others: list[float]) -> float:
    """The median over the turns of one time over the sum of others in the same turn."""
    return median(a / sum(b) for a, *b in zip(one, *others, strict=True))


def report(title: str, columns: list[str], rows: list[dict[str, Any]]) -> None:
    """A table, then the same rows as JSON."""
    shown = [[f"{row[c]:.3f}" if isinstance(row[c], float) else row[c] for c in columns] for row in rows]
    print_table(title, columns, shown)
    print(json.dumps({"title": title, "rows": rows}, indent=2))
