"""A comparison as files: figures for programs, a plot for a paper, and one page that can be sent to somebody.

The page needs nothing beside it and loads nothing: the plot and the style are in it. Names are the user's, so the
template escapes them and the plot does not read them as formulas.
"""

import csv
from base64 import b64encode
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from ddnn.comparison.summary import points, verdict
from ddnn.formats.staging import write_files
from ddnn.reporting.tables import millions, percent, print_table, to_json

UNKNOWN = "–"
"""Stands for a figure that there is not."""


def write_report(directory: Path, summary: dict[str, Any]) -> None:
    """Write `summary.json`, `table.csv`, `accuracy_over_macs.png` and `report.html`.

    Args:
        directory: made if need be; files of these names in it are replaced.
        summary: of `ddnn.comparison.summary.summarise`.

    Raises:
        DDNNError: if a number is not finite.
    """
    from ddnn.comparison.plot import accuracy_over_macs  # matplotlib takes a second, and the workers need none

    plot = accuracy_over_macs(summary)
    files = {
        "summary.json": (to_json(summary) + "\n").encode(),
        "table.csv": _csv(summary).encode(),
        "accuracy_over_macs.png": plot,
        "report.html": _page(summary, plot).encode(),
    }
    write_files(directory, files)


def show(summary: Mapping[str, Any]) -> None:
    """Print the table and the verdict on standard output."""
    against = f"to {summary['baseline']}, points"
    columns = ["method", "net", "accuracy, %", against, "NLL", "ECE, %", "seconds", "peak MB"]
    print_table(_title(summary), columns, _terminal_rows(summary))
    if _some_untrained(summary):
        print("* not trained, only calibrated")
    longer = [method for method, row in summary["training"].items() if row["budget"] != "epochs"]
    if longer:
        print("epochs: " + ", ".join(f"{method} {_epochs(summary, method)}" for method in longer))
    for sentence in verdict(summary):
        print(sentence)


def _title(summary: Mapping[str, Any]) -> str:
    called = f" ({summary['called']})" if summary["called"] else ""
    left_out = f", {summary['left_out']} left out" if summary["left_out"] else ""
    return (
        f"{summary['experiment']}: {summary['images']} {summary['split']} images{called}{left_out}, {summary['device']}"
    )


def _terminal_rows(summary: Mapping[str, Any]) -> Iterator[list[str]]:
    for method, nets in summary["methods"].items():
        costs = _cost_cells(summary["costs"][method])
        for number, (name, results) in enumerate(nets.items()):
            cells = _cells(results)
            yield [
                "" if number else method,
                name if results["trained"] else f"{name}*",
                f"{cells['accuracy']} ± {cells['spread']}",
                f"{cells['difference']} {cells['interval']}".strip(),
                cells["nll"],
                cells["calibration_error"],
                *(["", ""] if number else [costs["seconds"], costs["memory"]]),
            ]


def _epochs(summary: Mapping[str, Any], method: str) -> str:
    epochs = summary["training"][method]["epochs"]
    return UNKNOWN if epochs is None else str(epochs)


def _by_kind(summary: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The rows of each method by their budgets; what is trained alone defines them all.

    >>> rows = {"alone": ("alone", "epochs"), "ekd": ("ekd", "epochs"), "ekd@compute": ("ekd", "compute")}
    >>> training = {name: {"kind": kind, "budget": budget} for name, (kind, budget) in rows.items()}
    >>> _by_kind({"training": training, "baseline": "alone"})
    {'alone': {'epochs': 'alone', 'compute': 'alone'}, 'ekd': {'epochs': 'ekd', 'compute': 'ekd@compute'}}
    """
    training = summary["training"]
    budgets = list(dict.fromkeys(row["budget"] for row in training.values()))
    kinds: dict[str, dict[str, str]] = {}
    for method, row in training.items():
        kinds.setdefault(row["kind"], {})[row["budget"]] = method
    baseline: str = summary["baseline"]
    if baseline in kinds:
        kinds[baseline] = {**dict.fromkeys(budgets, baseline)}
    return kinds


def _cells(results: Mapping[str, Any]) -> dict[str, str]:
    """What was measured of a net, rounded for people; `side` is where all of the interval lies: above or below zero."""
    difference = results["difference"] or {}
    low, high = difference.get("interval") or (0.0, 0.0)
    return {
        "accuracy": percent(results["mean"]),
        "spread": UNKNOWN if results["std"] is None else percent(results["std"]),
        "difference": points(difference["mean"]) if difference else "",
        "interval": f"({points(low)} to {points(high)})" if difference.get("interval") else "",
        "side": "above" if low > 0 else "below" if high < 0 else "",
        "nll": UNKNOWN if results["nll"] is None else f"{results['nll']:.3f}",
        "calibration_error": UNKNOWN if results["calibration_error"] is None else percent(results["calibration_error"]),
        "trained": "trained" if results["trained"] else "",
    }


def _some_untrained(summary: Mapping[str, Any]) -> bool:
    return not all(results["trained"] for nets in summary["methods"].values() for results in nets.values())


def _cost_cells(costs: Mapping[str, Any]) -> dict[str, str]:
    memory = costs["peak_memory_mb"]
    return {
        "seconds": f"{costs['seconds']:.{0 if costs['seconds'] >= 100 else 1}f}",
        "memory": UNKNOWN if memory is None else f"{memory:.0f}",
    }


def _csv(summary: Mapping[str, Any]) -> str:
    """One row a method and net, unrounded; shares stay in [0, 1], lists are separated by spaces, None is empty."""
    text = StringIO()
    rows = list(_csv_rows(summary))
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _csv_rows(summary: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for method, nets in summary["methods"].items():
        for name, results in nets.items():
            facts, difference = summary["nets"][name], results["difference"] or {}
            low, high = difference.get("interval") or (None, None)
            yield {
                "method": method,
                "budget": summary["training"][method]["budget"],
                "epochs": summary["training"][method]["epochs"],
                "net": name,
                "depth": " ".join(map(str, facts["depth"])),
                "parameters": facts["parameters"],
                "macs": facts["macs"],
                "trained": results["trained"],
                "seeds": " ".join(map(str, summary["seeds"][method])),
                "accuracies": " ".join(map(str, results["seeds"])),
                "accuracy_mean": results["mean"],
                "accuracy_std": results["std"],
                "difference_mean": difference.get("mean"),
                "difference_low": low,
                "difference_high": high,
                "difference_seeds": difference.get("seeds"),
                "nll": results["nll"],
                "calibration_error": results["calibration_error"],
                **{f"method_{cost}": figure for cost, figure in summary["costs"][method].items()},
            }


def _page(summary: Mapping[str, Any], plot: bytes) -> str:
    """The report as one self-contained HTML page."""
    source = Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(
        summary=summary,
        title=_title(summary),
        results={
            method: {name: _cells(results) for name, results in nets.items()}
            for method, nets in summary["methods"].items()
        },
        kinds=_by_kind(summary),
        budgets=list(dict.fromkeys(row["budget"] for row in summary["training"].values())),
        epochs={method: _epochs(summary, method) for method in summary["methods"]},
        costs={method: _cost_cells(costs) for method, costs in summary["costs"].items()},
        some_untrained=_some_untrained(summary),
        millions=millions,
        verdict=verdict(summary),
        configuration=yaml.safe_dump(summary["config"], sort_keys=False, default_flow_style=None, allow_unicode=True),
        plot=b64encode(plot).decode(),
    )
