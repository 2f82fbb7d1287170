"""Accuracy over average cost, of fixed depths and cascades."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from ddnn.cascading.report import FixedNet, MeasuredCascade, Report
from ddnn.reporting.plots import GREY, add_legend, looks, new_plot, png, with_margin

Measured = FixedNet | MeasuredCascade


def accuracy_over_cost(report: Report) -> bytes:
    """The report as a PNG; the cost is in the unit that the calibration went by."""
    figure, axes = new_plot(report.run)
    fixed, curve = list(report.nets.values()), sorted(report.curve, key=lambda cascade: _cost(report, cascade))
    styles = looks()
    _draw(axes, report, fixed, "fixed depths", linestyle="", **next(styles))
    _draw(axes, report, curve, "cascades", linestyle="-", linewidth=1.3, **next(styles))
    chosen = {"linestyle": "", "markersize": 14, "zorder": 3, **next(styles), "marker": "*"}
    _draw(axes, report, [report.cascade], "chosen cascade", **chosen)
    for name, net in report.nets.items():
        place = (_cost(report, net), 100 * net.accuracy)
        axes.annotate(name, place, (6, -12), textcoords="offset points", parse_math=False, fontsize="small", color=GREY)
    spots: list[Measured] = [*fixed, *curve, report.cascade]
    axes.set_xlim(*with_margin([_cost(report, spot) for spot in spots]))
    axes.set_ylim(*with_margin([100 * spot.accuracy for spot in spots]))
    axes.set_ylabel("test accuracy, %")
    unit = "multiply-accumulates, millions" if report.unit == "macs" else f"milliseconds, {report.engine}"
    axes.set_xlabel(f"average cost of an image: {unit}", parse_math=False)
    add_legend(axes, some_untrained=False)
    return png(figure)


def _draw(axes: Axes, report: Report, spots: Sequence[Measured], label: str, **style: Any) -> None:
    costs = [_cost(report, spot) for spot in spots]
    axes.plot(costs, [100 * spot.accuracy for spot in spots], label=label, **style)


def _cost(report: Report, spot: Measured) -> float:
    return spot.macs / 1e6 if report.unit == "macs" else spot.ms
