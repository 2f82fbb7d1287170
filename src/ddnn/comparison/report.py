"""A comparison as files: figures for programs, a plot for a paper, and one page that can be sent to somebody.

The page needs nothing beside it and loads nothing: the plot and the style are in it. Names are the user's, so the
template escapes them and the plot does not read them as formulas.
"""

import csv
import os
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO, StringIO
from itertools import cycle
from pathlib import Path
from textwrap import fill
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ddnn.comparison.summary import points, verdict
from ddnn.reports import millions, percent, print_table, to_json

COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
"""Told apart by colour-blind readers too (Okabe and Ito, 2008); their yellow is left out, too pale on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
UNKNOWN = "–"
"""Stands for a figure that there is not."""


def write_report(directory: Path, summary: dict[str, Any]) -> None:
    """Write `summary.json`, `table.csv`, `accuracy_over_macs.png` and `report.html`.

    Args:
        directory: made if need be; files of these names in it are replaced, each whole or not at all.
        summary: of `ddnn.comparison.summary.summarise`.

    Raises:
        DDNNError: if a number is not finite.
    """
    plot = _plot(summary)
    files = {
        "summary.json": (to_json(summary) + "\n").encode(),
        "table.csv": _csv(summary).encode(),
        "accuracy_over_macs.png": plot,
        "report.html": _page(summary, plot).encode(),
    }
    directory.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        _write_bytes(directory / name, content)


def show(summary: Mapping[str, Any]) -> None:
    """Print the table and the verdict on standard output."""
    against = f"to {summary['baseline']}, points"
    columns = ["method", "net", "accuracy, %", against, "NLL", "ECE, %", "seconds", "peak MB"]
    print_table(_title(summary), columns, _terminal_rows(summary))
    if _some_untrained(summary):
        print("* not trained, only calibrated")
    for sentence in verdict(summary):
        print(sentence)


def _title(summary: Mapping[str, Any]) -> str:
    return f"{summary['experiment']}: {summary['split']}, {summary['images']} images, {summary['device']}"


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
        costs={method: _cost_cells(costs) for method, costs in summary["costs"].items()},
        some_untrained=_some_untrained(summary),
        millions=millions,
        verdict=verdict(summary),
        configuration=yaml.safe_dump(summary["config"], sort_keys=False, default_flow_style=None, allow_unicode=True),
        plot=b64encode(plot).decode(),
    )


def _plot(summary: Mapping[str, Any]) -> bytes:
    """Accuracy over multiply-accumulates as a PNG, one line a method."""
    figure = Figure(figsize=(9, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    looks = zip(cycle(COLOURS), cycle(MARKERS), strict=False)
    middle = (len(summary["methods"]) - 1) / 2
    for number, (method, (colour, marker)) in enumerate(zip(summary["methods"], looks, strict=False)):
        aside = ScaledTranslation(6 * (number - middle) / 72, 0, figure.dpi_scale_trans)  # so that no bar hides another
        _draw_method(axes, summary, method, {"color": colour, "marker": marker, "transform": axes.transData + aside})
    axes.set_title(summary["experiment"], parse_math=False, pad=14)
    axes.set_ylabel(f"{summary['split']} accuracy, % (bars: one standard deviation)")
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    _name_nets(axes, summary)
    _add_legend(axes, summary)
    _set_limits(axes, summary)
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()


def _draw_method(axes: Axes, summary: Mapping[str, Any], method: str, look: dict[str, Any]) -> None:
    """One line with bars of one standard deviation; markers of nets that were not trained are hollow."""
    macs = {name: facts["macs"] / 1e6 for name, facts in summary["nets"].items()}
    nets = summary["methods"][method]
    heights = [100 * results["mean"] for results in nets.values()]
    bars = [100 * (results["std"] or 0.0) for results in nets.values()]
    axes.errorbar(
        list(macs.values()),
        heights,
        yerr=bars,
        label=method,
        capsize=3,
        linewidth=1.3,
        elinewidth=1,
        markersize=6,
        **look,
    )
    hollow = [name for name, results in nets.items() if not results["trained"]]
    style = {**look, "linestyle": "", "markersize": 6, "markerfacecolor": "white", "zorder": 3}
    axes.plot([macs[name] for name in hollow], [100 * nets[name]["mean"] for name in hollow], **style)


def _name_nets(axes: Axes, summary: Mapping[str, Any]) -> None:
    """The nets' names over their places, on an axis of their own."""
    top = axes.secondary_xaxis("top")
    top.set_xticks([facts["macs"] / 1e6 for facts in summary["nets"].values()])
    slanted = {"rotation": 30, "ha": "left"} if len(summary["nets"]) > 4 else {}
    top.set_xticklabels(summary["nets"], parse_math=False, fontsize="small", color="#555555", **slanted)
    top.tick_params(length=0)
    top.spines["top"].set_visible(False)


def _add_legend(axes: Axes, summary: Mapping[str, Any]) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if _some_untrained(summary):
        handles.append(Line2D([], [], color="#555555", marker="o", markerfacecolor="white", linestyle=""))
        labels.append("not trained")
    legend = axes.figure.legend(handles, labels, frameon=False, loc="outside right upper")
    for text in legend.get_texts():
        text.set_parse_math(False)


def _set_limits(axes: Axes, summary: Mapping[str, Any]) -> None:
    """Room for what was trained.

    Nets that were not may guess, and would press all others into one line; the axis' label names them instead.
    """
    spots = [(f"{method} {name}", r) for method, nets in summary["methods"].items() for name, r in nets.items()]
    trained = [edge for _, results in spots if results["trained"] for edge in _edges(results)]
    floor = min(trained) - max(max(trained) - min(trained), 0.01) if trained else 0.0
    near = [100 * edge for _, results in spots if results["mean"] >= floor for edge in _edges(results)]
    far = [f"{spot} {percent(results['mean'])} %" for spot, results in spots if results["mean"] < floor]
    axes.set_ylim(*_with_margin(near))
    axes.set_xlim(*_with_margin([facts["macs"] / 1e6 for facts in summary["nets"].values()]))
    note = "\n" + fill(f"below the axis: {', '.join(far)}", 80) if far else ""
    axes.set_xlabel(f"multiply-accumulates for one image, millions{note}", parse_math=False)


def _with_margin(values: Sequence[float]) -> tuple[float, float]:
    margin = 0.08 * (max(values) - min(values)) or 0.5
    return min(values) - margin, max(values) + margin


def _edges(results: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of an error bar."""
    spread = results["std"] or 0.0
    return results["mean"] - spread, results["mean"] + spread


def _write_bytes(path: Path, content: bytes) -> None:
    """Write a file by way of a temporary one."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
