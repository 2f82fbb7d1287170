"""A decision as people and programs read it."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddnn.choice.best import Bounds, Candidate, describe, in_words
from ddnn.choice.circumstances import Circumstances
from ddnn.choice.decision import Decision
from ddnn.formats.staging import write_files
from ddnn.profiles.report import UNKNOWN, csv_text, megabytes
from ddnn.reporting.tables import percent, print_table, to_json

if TYPE_CHECKING:
    from ddnn.choice.explored import Explored

UNITS = {"latency_ms": "ms", "accuracy": "accuracy", "memory_mb": "MB"}


def as_json(decision: Decision, output: str | None = None) -> dict[str, Any]:
    """What was chosen, from what, and on which figures; of a choice among all depths, what was found, too.

    Args:
        decision: any.
        output: where the network with the chosen depth was written to.
    """
    choice, bounds = decision.choice, decision.bounds
    better = choice.next_better
    document = {
        "chosen": asdict(choice.chosen),
        "bounds": asdict(bounds),
        "unused": choice.left,
        "next_better": None if better is None else {**asdict(better), "misses": choice.misses},
        "nets": [{**asdict(each), "misses": bounds.misses(each)} for each in decision.candidates],
        "measured": asdict(decision.circumstances),
    }
    if decision.explored is None:
        return document
    return {
        **document,
        **_explored_json(decision.explored),
        "test": None if decision.test is None else {name: asdict(score) for name, score in decision.test.items()},
        "folder": str(decision.folder),
        "output": output,
    }


def show(decision: Decision, output: str | None = None) -> None:
    """Print the nets and the decision on standard output; of a choice among all depths, the front and the trained
    nets."""
    explored, title = decision.explored, _title(decision.circumstances)
    if explored is None:
        _print_nets(title, decision.candidates, decision.bounds)
        found: Iterator[str] = iter(())
    else:
        shown = [each for each in explored.candidates if each.trained or each in explored.front]
        shown.sort(key=lambda each: each.latency_ms)
        _print_nets(f"Pareto front (f) and trained nets; {title}", shown, decision.bounds, explored)
        found = _depth_sentences(decision, explored, output)
    for sentence in (*sentences(decision), *found):
        print(sentence)


def sentences(decision: Decision) -> Iterator[str]:
    """The decision in words."""
    choice = decision.choice
    yield f"chosen: {describe(choice.chosen)}"
    unused = ", ".join(f"{_amount(name, left)} of {name} {getattr(decision.bounds, name):g}"
                       for name, left in choice.left.items())  # fmt: skip
    yield f"left on the table: {unused}"
    yield from decision.circumstances.caveats
    better = choice.next_better
    if better is None:
        yield "next better: none, no net is more accurate"
    elif choice.misses:
        yield f"next better: {describe(better)}; it misses {in_words(decision.bounds, better)}"
    else:
        slower = better.latency_ms - choice.chosen.latency_ms
        yield f"next better: {describe(better)}; it keeps to the bounds too, and is slower by {slower:.3g} ms"


def write_depths(folder: Path, explored: "Explored") -> None:
    """Write `depths.json`, `depths.csv` and `pareto_front.png`; files of these names in the folder are replaced."""
    circumstances = explored.circumstances
    document = {
        "nets": [asdict(each) for each in explored.candidates],
        "measured": asdict(circumstances),
        **_explored_json(explored),
    }
    files = {
        "depths.json": (to_json(document) + "\n").encode(),
        "depths.csv": csv_text(_rows(explored)).encode(),
        "pareto_front.png": _plot(explored),
    }
    write_files(folder, files)


def _explored_json(explored: "Explored") -> dict[str, Any]:
    search = explored.search
    return {
        "front": [each.name for each in explored.front],
        "search": {
            "untrained_depths": explored.untrained,
            "tried": len(search.found),
            "refused": [list(depth) for depth in search.refused],
            "ended": search.ended,
            "sampler": search.sampler,
            "calibration_images": explored.calibrated_on,
        },
    }


def _title(circumstances: Circumstances) -> str:
    where = f"{circumstances.source} on {circumstances.device_name}: {circumstances.condition}"
    when = f"from {circumstances.profile}, measured" if circumstances.profile else "measured just now,"
    return f"{where}\ntimes {when} {circumstances.date}; accuracy on {circumstances.accuracy_of}"


def _print_nets(title: str, nets: Sequence[Candidate], bounds: Bounds, explored: "Explored | None" = None) -> None:
    columns = ["net", "depth", "accuracy, %", "median, ms", "p95, ms", "peak MB", "misses"]
    rows = [
        [
            each.name,
            " ".join(map(str, each.depth)),
            percent(each.accuracy),
            f"{each.latency_ms:.3g}",
            UNKNOWN if each.p95_ms is None else f"{each.p95_ms:.3g}",
            megabytes(each.memory_mb),
            in_words(bounds, each) or "-",
        ]
        for each in nets
    ]
    if explored is not None:
        columns.insert(1, "trained")
        for each, row in zip(nets, rows, strict=True):
            row.insert(1, "yes" if each.trained else "no")
            row[0] += " f" if each in explored.front else ""
    print_table(title, columns, rows)


def _depth_sentences(decided: Decision, explored: "Explored", output: str | None) -> Iterator[str]:
    chosen, search = decided.choice.chosen, explored.search
    yield (
        f"tried: {len(search.found)} of {explored.untrained} untrained depths ({search.ended}), each calibrated on "
        f"{explored.calibrated_on} training images"
    )
    if decided.test is not None:
        scores = {chosen.name: decided.test[chosen.name], **decided.test}
        yield "on test images, with 95 % intervals: " + "; ".join(
            f"{name} {percent(score.accuracy)} % ({' to '.join(percent(edge) for edge in score.interval)})"
            for name, score in scores.items()
        )
    yield f"written to {decided.folder}" + (f"; the network with {chosen.name} to {output}" if output else "")


def _amount(name: str, left: float) -> str:
    return f"{100 * left:.2f} points" if name == "accuracy" else f"{left:.3g} {UNITS[name]}"


def _rows(explored: "Explored") -> Iterator[dict[str, Any]]:
    for each in explored.candidates:
        depth = " ".join(map(str, each.depth))
        yield {**asdict(each), "depth": depth, "on_the_front": each in explored.front}


def _plot(explored: "Explored") -> bytes:
    from ddnn.profiles.plot import Line, Spot, accuracy_over_latency

    def spots(nets: Sequence[Candidate]) -> list[Spot]:
        return [Spot(each.name, each.latency_ms, each.accuracy, each.trained) for each in nets]

    others = [each for each in explored.candidates if each not in explored.front]
    lines = [Line("Pareto front", spots(explored.front))]
    if others:
        lines.append(Line("beaten by another net", spots(others), joined=False))
    circumstances = explored.circumstances
    title = f"{circumstances.source} on {circumstances.device_name}\n{circumstances.condition}"
    return accuracy_over_latency(title, lines, circumstances.accuracy_of)
