"""The plot of a comparison: what accuracy each method reaches at what cost.

Names are the user's, so none is read as a formula; matplotlib's global state is left alone.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from itertools import cycle
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from ddnn.reports import percent

COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
"""Told apart by colour-blind readers too (Okabe and Ito, 2008); their yellow is left out, too pale on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")


def accuracy_over_macs(summary: Mapping[str, Any]) -> bytes:
    """Accuracy over multiply-accumulates as a PNG, one line a method; `summary` is that of `summarise`."""
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
    if not all(results["trained"] for nets in summary["methods"].values() for results in nets.values()):
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
