"""The plot of a comparison: what accuracy each method reaches at what cost."""

from collections.abc import Mapping
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.transforms import ScaledTranslation

from ddnn.reporting.plots import GREY, add_legend, looks, new_plot, png, with_margin
from ddnn.reporting.tables import percent


def accuracy_over_macs(summary: Mapping[str, Any]) -> bytes:
    """Accuracy over multiply-accumulates as a PNG, one line a method; `summary` is that of `summarise`."""
    figure, axes = new_plot(summary["experiment"])
    middle = (len(summary["methods"]) - 1) / 2
    for number, (method, look) in enumerate(zip(summary["methods"], looks(), strict=False)):
        aside = ScaledTranslation(6 * (number - middle) / 72, 0, figure.dpi_scale_trans)  # so that no bar hides another
        _draw_method(axes, summary, method, {**look, "transform": axes.transData + aside})
    axes.set_ylabel(f"{summary['split']} accuracy, % (bars: one standard deviation)")
    _name_nets(axes, summary)
    nets = [results for nets in summary["methods"].values() for results in nets.values()]
    add_legend(axes, some_untrained=not all(results["trained"] for results in nets))
    _set_limits(axes, summary)
    return png(figure)


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
    top.set_xticklabels(summary["nets"], parse_math=False, fontsize="small", color=GREY, **slanted)
    top.tick_params(length=0)
    top.spines["top"].set_visible(False)


def _set_limits(axes: Axes, summary: Mapping[str, Any]) -> None:
    """Room for what was trained.

    Nets that were not may guess, and would press all others into one line; the axis' label names them instead.
    """
    spots = [(f"{method} {name}", r) for method, nets in summary["methods"].items() for name, r in nets.items()]
    trained = [edge for _, results in spots if results["trained"] for edge in _edges(results)]
    floor = min(trained) - max(max(trained) - min(trained), 0.01) if trained else 0.0
    near = [100 * edge for _, results in spots if results["mean"] >= floor for edge in _edges(results)]
    far = [f"{spot} {percent(results['mean'])} %" for spot, results in spots if results["mean"] < floor]
    axes.set_ylim(*with_margin(near))
    axes.set_xlim(*with_margin([facts["macs"] / 1e6 for facts in summary["nets"].values()]))
    note = "\n" + fill(f"below the axis: {', '.join(far)}", 80) if far else ""
    axes.set_xlabel(f"multiply-accumulates for one image, millions{note}", parse_math=False)


def _edges(results: Mapping[str, Any]) -> tuple[float, float]:
    """The ends of an error bar."""
    spread = results["std"] or 0.0
    return results["mean"] - spread, results["mean"] + spread
