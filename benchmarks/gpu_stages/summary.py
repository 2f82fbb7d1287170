"""What all stages have found, as tables and as summary.json. Nothing here needs torch."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ddnn.reporting.tables import print_table
from gpu_stages.record import Options, Row, rows

STAGES = ("smoke", "step", "claim", "inference")
AIMS = {
    "EKD {18, 34} over the sum of stock steps, at most": 0.80,
    "EKD {18, 34}, images a second over adaptive depth's, at least": 1.3,
    "share of an EKD step that waits for Python and data in ddnn train, at most": 0.05,
    "EKD {20, 32, 56}, images a second over eager, at least": 5.0,
}


def main(options: Options) -> None:
    """Print the tables, and write what they hold."""
    found = {stage: latest(options.out / f"{stage}.jsonl") for stage in STAGES}
    card = next((row["gpu"] for stage in found.values() for row in stage if "gpu" in row), "no GPU: a dry run")
    print(f"\n{card}", flush=True)
    failed = [(stage, row["key"], row["error"][:100]) for stage in STAGES for row in found[stage] if not row["ok"]]
    _table("failed", ("stage", "what", "why"), failed)
    smoke = [(row["key"], "passed" if row["ok"] else "failed", row["took_s"]) for row in found["smoke"]]
    _table("smoke", ("check", "", "seconds"), smoke)
    steps = [line for row in found["step"] if row["ok"] for line in step_lines(row)]
    columns = ("nets", "mode", "ms", "images/s", "over sum", "over full", "over ADN", "card works", "MiB")
    _table("an EKD step", columns, steps)
    accuracies = [(row["key"], _accuracies(row), f"{row['seconds']:.0f} s") for row in found["claim"] if row["ok"]]
    _table("the claim, test accuracy", ("run", "nets", "trained"), accuracies)
    _table("inference", ("nets", "way", "batch", "ms, shallow to deep"), [*inference_lines(found["inference"])])
    met = aims(found["step"])
    _table("aims", ("what", "aim", "found"), [(what, aim, _number(met.get(what))) for what, aim in AIMS.items()])
    (options.out / "summary.json").write_text(json.dumps({"card": card, "aims": met, **found}, indent=1) + "\n")


def latest(path: Path) -> list[Row]:
    """One row a measurement: the last one that was made."""
    return list({row["key"]: row for row in rows(path)}.values())


def step_lines(row: Row) -> list[Sequence[Any]]:
    """Of one network, run in one way."""
    if "waits_share" in row:
        works = None if row["waits_share"] is None else 1 - row["waits_share"]
        return [(row["case"], row["mode"], "", f"{row['images_per_s']:.0f}", "", "", "", _number(works), "")]
    ours, over = row["steps"]["EKD"], row["ekd_over"]
    ratios = [_number(over[name]["ratio"]) if name in over else "" for name in ("sum", "full", "adn")]
    peak = "" if ours["peak_mib"] is None else f"{ours['peak_mib']:.0f}"
    first = (row["case"], row["mode"], f"{ours['median_ms']:.2f}", f"{ours['images_per_s']:.0f}")
    return [(*first, *ratios, _number(row.get("busy_share")), peak)]


def inference_lines(found: Sequence[Row]) -> list[Sequence[Any]]:
    """Of one network, asked in one way."""
    lines: list[Sequence[Any]] = []
    for row in found:
        if not row["ok"]:
            continue
        if "left out" in row:
            lines.append((row["case"], row["way"], "", row["left out"]))
        for batch, nets in row.get("batches", {row["batch"]: row.get("nets")}).items():
            if nets:
                times = "  ".join(f"{name} {figures['median_ms']:.2f}" for name, figures in nets.items())
                lines.append((row["case"], row["way"], batch, times))
    return lines


def aims(found: Sequence[Row]) -> dict[str, float]:
    """What was found of what is aimed at, in the best way to run a step."""
    steps = [row for row in found if row["ok"] and "steps" in row]
    larger = [row for row in steps if row["case"] == "resnet34"]
    over = {
        name: [row["ekd_over"][name]["ratio"] for row in larger if name in row["ekd_over"]] for name in ("sum", "adn")
    }
    best = [min(over["sum"], default=None), _inverse(min(over["adn"], default=None))]
    waits = [row["waits_share"] for row in found if row["ok"] and row.get("waits_share") is not None]
    speeds = {row["mode"]: row["steps"]["EKD"]["images_per_s"] for row in steps if row["case"] == "resnet56"}
    gain = max(speeds.values()) / speeds["eager"] if "eager" in speeds else None
    values = [*best, max(waits, default=None), gain]
    return {what: value for what, value in zip(AIMS, values, strict=True) if value is not None}


def _inverse(value: float | None) -> float | None:
    return None if value is None else 1 / value


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _accuracies(row: Row) -> str:
    return "  ".join(f"{name} {100 * value:.2f}" for name, value in row["accuracies"].items())


def _table(title: str, columns: Sequence[str], lines: Sequence[Sequence[Any]]) -> None:
    if lines:
        print_table(title, columns, lines)


if __name__ == "__main__":
    main(Options.parse())
