"""How many deadlines are kept when the depth is chosen under load, and what that costs in accuracy.

python benchmarks/serving.py EXPORT [--data parquet:PATH --output figures.json]
python benchmarks/serving.py EXPORT --soak 60 --load 1.5 [--output figures.json]      an hour; --soak 480 for eight

The server is the real one, in a process with a core of its own; so are the clients, who ask over loopback when a trace
says so, whether or not earlier questions were answered (open loop). Load 1 is what the full net carries, measured
first: answers a second when 32 clients ask again as soon as they are answered. All ways to answer meet the same traces,
in turns: the net chosen under load; each net alone (requests name it, so those that cannot be in time are refused at
once); the full net that refuses nobody; and servers without this project around the full net. A deadline counts from
when a request was due until its answer was there, at the client.
"""

from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

from command import run
from ddnn.errors import DDNNError
from load.clients import Found
from load.soak import soaked
from load.stand import Stand, Way, built, trace
from reporting import Report

Row = dict[str, Any]
PEERS = ("late", "plain", "lit")
SHAPES = ("poisson", "bursts")
KEPT = 0.99
"""Share of the deadlines that must be kept where throughput is measured."""


def main(
    export: str,
    data: str | None = None,
    deadline_ms: float = 100.0,
    loads: list[float] = [0.5, 1, 2, 4],  # noqa: B006  # jsonargparse copies it
    shapes: list[str] = list(SHAPES),  # noqa: B006
    seconds: float = 20.0,
    turns: int = 2,
    peers: list[str] = ["late", "plain"],  # noqa: B006
    steps: int = 6,
    soak: float | None = None,
    load: float = 1.5,
    output: str | None = None,
) -> None:
    """Print what is kept at each load, or how a server fares for an hour.

    Args:
        export: what `ddnn export` wrote.
        data: labelled images to ask for, parquet:PATH; None means noise, and no accuracy but the expected one.
        deadline_ms: of each request.
        loads: times what the full net carries.
        shapes: of traces, of poisson and bursts.
        seconds: of one trace.
        turns: traces of each shape and load.
        peers: of late, plain and lit (which needs `pip install litserve`).
        steps: of the search for the most that is carried at the deadline; 0 leaves it out.
        soak: minutes of bursts at one load, instead of all else.
        load: of the soak.
        output: a JSON file for the results.
    """
    _check(shapes, peers)
    with built(export, data, deadline_ms, peers if soak is None else []) as stand:
        if soak is not None:
            report = Report(f"Does a server hold for {soak:g} minutes at {load:g} times the full net's load?", output)
            soaked(stand, 60 * soak, load, report)
            return
        report = Report(f"What is kept of deadlines of {deadline_ms:g} ms, and with which accuracy?", output)
        carried = {way.name: stand.carried(way, seconds / 2) for way in stand.ways}
        full = carried[f"{stand.full} alone"]
        report.table("answers a second, without deadlines", carried_rows(stand, carried, full))
        for shape in shapes:
            rows = curve_rows(stand, partial(trace, shape), loads, full, seconds, turns)
            report.table(shape, [kept for kept, _ in rows])
            report.table(f"{shape}, how", [how for _, how in rows])
        if steps:
            report.table(f"load at which {KEPT:.0%} are in time", most_rows(stand, carried, full, seconds / 2, steps))


def carried_rows(stand: Stand, carried: dict[str, float], full: float) -> list[Row]:
    """Each way without deadlines."""
    return [
        {
            "way": way.name,
            "per_second": carried[way.name],
            "ratio": carried[way.name] / full,
            "mib": way.server.memory(),
        }
        for way in stand.ways
    ]


def curve_rows(
    stand: Stand, traced: Any, loads: Sequence[float], full: float, seconds: float, turns: int
) -> list[tuple[Row, Row]]:
    """Each way at each load; in a turn all of them meet the same trace."""
    rows, order = [], Random(0)
    for load in loads:
        found: dict[str, list[Found]] = {way.name: [] for way in stand.ways}
        for turn in range(turns):
            times = traced(load * full, seconds, turn)
            for way in order.sample(stand.ways, len(stand.ways)):
                found[way.name].append(stand.ask(way, times))
        rows += [curve_row(stand, way, load, full, found[way.name]) for way in stand.ways]
    return rows


def curve_row(stand: Stand, way: Way, load: float, full: float, turns: Sequence[Found]) -> tuple[Row, Row]:
    """One way at one load, over all turns: what is kept, and how it came about."""
    found, seconds = joined(turns), sum(each.asked[-1].due for each in turns)
    each = [turn.attained for turn in turns]
    accuracy = found.expected(stand.accuracies, way.net)
    kept = {
        "attained": found.attained,
        "low": min(each),
        "high": max(each),
        "in_time_ratio": len(found.in_time) / seconds / full,
        "accuracy": accuracy,
        "right": found.right(),
        "of_all": found.attained * (accuracy or 0.0),
        "p50_ms": found.latency_ms(0.5),
        "p99_ms": found.latency_ms(0.99),
    }
    how = {
        "refused": sum(n for status, n in found.statuses.items() if status in (429, 503)) / len(found.asked),
        "gave_up": found.statuses.get(0, 0) / len(found.asked),
        "waited_ms": found.mean_of("waited_ms"),
        "batch": found.mean_of("batch"),
        **found.shares(list(stand.accuracies)),
        "statuses": " ".join(f"{status}:{number}" for status, number in found.statuses.items()),
        "wrong": found.wrong(),
        "lag_ms": 1e3 * found.lag,
        "clients_cpu": found.cpu,
        "mib": way.server.memory(),
    }
    of = {"load": load, "way": way.name}
    return of | kept, of | how


def joined(turns: Sequence[Found]) -> Found:
    """Several runs as one; answers are checked over all of them."""
    first = turns[0]
    asked = [asked for turn in turns for asked in turn.asked]
    cpu = max(turn.cpu for turn in turns)
    return Found(asked, sum(turn.strays for turn in turns), first.connections, cpu, first.deadline, first.labels)


def most_rows(stand: Stand, carried: dict[str, float], full: float, seconds: float, steps: int) -> list[Row]:
    """The most that each way carries with nearly all in time, by halving; no more than without deadlines."""
    rows = []
    for way in stand.ways:
        low, high = 0.0, 1.1 * max(carried[way.name], full)
        for _ in range(steps):
            rate = (low + high) / 2
            kept = stand.ask(way, trace("poisson", rate, seconds, 0)).attained >= KEPT
            low, high = (rate, high) if kept else (low, rate)
        rows.append({"way": way.name, "per_second": low, "ratio": low / full})
    return rows


def _check(shapes: Sequence[str], peers: Sequence[str]) -> None:
    for given, allowed in ((shapes, SHAPES), (peers, PEERS)):
        if unknown := set(given) - set(allowed):
            raise DDNNError(f"there is no {', '.join(sorted(unknown))}; use {', '.join(allowed)}")


if __name__ == "__main__":
    run(main)
