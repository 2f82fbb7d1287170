"""A server under bursts for a long time: nothing is lost, doubled or refused without a reason, and memory stays."""

import time
from collections import Counter
from statistics import median
from typing import Any

from ddnn.errors import DDNNError
from load.clients import Found
from load.stand import Stand, trace
from reporting import Report

SECONDS = 300.0
"""Of one process of clients; the next begins with a new trace."""
EVERY = 10.0
"""Seconds between two looks at memory."""
GROWTH = 1.05
DOCUMENTED = {200, 429, 503}


def soaked(stand: Stand, seconds: float, load: float, report: Report) -> None:
    """Ask for so long, and print what became of it.

    Raises:
        DDNNError: something was lost, doubled, or refused without a reason, or memory grew.
    """
    way = stand.ways[0]
    full = stand.carried(next(way for way in stand.ways if way.name == f"{stand.full} alone"), 20.0)
    began, memory, seen = time.monotonic(), list[tuple[float, float]](), _Seen()

    def look() -> None:
        memory.append((time.monotonic() - began, way.server.memory()))

    look()
    rows, left, seed = list[dict[str, Any]](), seconds, 0
    while left > 0:
        part = min(SECONDS, left)
        found = stand.clients.ask(way.server, trace("bursts", load * full, part, seed), every=(EVERY, look))
        rows.append({"minute": (seconds - left + part) / 60, **seen.took(found, stand), "mib": way.server.memory()})
        left, seed = left - part, seed + 1
        report.table(f"part {seed}", rows[-1:])
    report.table("memory, MiB", [{"second": second, "mib": mib} for second, mib in memory])
    summary = seen.summary() | growth(memory)
    report.table("all of it", [{"per_second": load * full, **summary}])
    if not (seen.faultless and summary["growth"] <= GROWTH):
        raise DDNNError("the server did not hold: see the last table")


def growth(memory: list[tuple[float, float]]) -> dict[str, float]:
    """Memory at the end, the median of the last tenth, over that after the first tenth, which warms up."""
    sizes = [mib for _, mib in memory]
    tenth = max(1, len(sizes) // 10)
    warm, end = median(sizes[tenth : 2 * tenth] or sizes), median(sizes[-tenth:])
    return {"warm_mib": warm, "end_mib": end, "most_mib": max(sizes), "growth": end / warm}


class _Seen:
    """Sums over all parts."""

    def __init__(self) -> None:
        self._statuses, self._last = Counter[int](), 0
        self._wrong = self._in_time = 0

    def took(self, found: Found, stand: Stand) -> dict[str, Any]:
        """Add a part; its figures."""
        ids = found.ids()
        wrong = found.wrong() + sum(number <= self._last for number in ids)
        self._last = max([self._last, *ids])
        self._statuses.update(found.statuses)
        self._wrong, self._in_time = self._wrong + wrong, self._in_time + len(found.in_time)
        return {
            "asked": len(found.asked),
            "attained": found.attained,
            "accuracy": found.expected(stand.accuracies, stand.full),
            "right": found.right(),
            **found.shares(list(stand.accuracies)),
            "statuses": " ".join(f"{status}:{number}" for status, number in found.statuses.items()),
            "wrong": wrong,
            "lag_ms": 1e3 * found.lag,
        }

    @property
    def faultless(self) -> bool:
        """Each request has had one answer, its own, with a status that is documented."""
        return not self._wrong and set(self._statuses) <= DOCUMENTED

    def summary(self) -> dict[str, Any]:
        """Over all parts."""
        total = self._statuses.total()
        return {
            "asked": total,
            "attained": self._in_time / total,
            "wrong": self._wrong,
            **{f"status_{status}": number for status, number in sorted(self._statuses.items())},
        }
