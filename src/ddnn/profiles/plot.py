"""Accuracy over latency, as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log10
from textwrap import fill

from matplotlib.axes import Axes
from matplotlib.ticker import LogFormatter

from ddnn.reporting.plots import GREY, add_legend, looks, new_plot, png, with_margin

_WIDE = 8.0  # largest over smallest latency from which a logarithmic axis shows more


@dataclass(frozen=True)
class Spot:
    """One net.

    Args:
        name: its name; empty names nothing.
        latency_ms: of a call.
        accuracy: in [0, 1].
        trained: or only calibrated, which is drawn hollow.
    """

    name: str
    latency_ms: float
    accuracy: float
    trained: bool = True


@dataclass(frozen=True)
class Line:
    """Nets that belong together.

    Args:
        label: what they are.
        spots: the nets, in any order.
        joined: with a line through them, from fast to slow.
    """

    label: str
    spots: Sequence[Spot]
    joined: bool = True


def accuracy_over_latency(title: str, lines: Sequence[Line], accuracy_of: str) -> bytes:
    """The lines as a PNG.

    Args:
        title: over the plot.
        lines: at least one, each with a net at least.
        accuracy_of: on what the accuracies were measured.
    """
    figure, axes = new_plot("\n".join(fill(line, 64) for line in title.splitlines()))
    for line, look in zip(lines, looks(), strict=False):
        _draw(axes, line, look)
    name = {"textcoords": "offset points", "parse_math": False, "rotation": 30, "fontsize": "small", "color": GREY}
    for spot in lines[0].spots:
        axes.annotate(spot.name, (spot.latency_ms, 100 * spot.accuracy), (3, 5), **name)
    spots = [spot for line in lines for spot in line.spots]
    _set_axes(axes, spots)
    axes.set_ylabel(f"accuracy, % ({accuracy_of})", parse_math=False)
    axes.set_xlabel("milliseconds of a call (median)")
    add_legend(axes, some_untrained=not all(spot.trained for spot in spots))
    return png(figure)


def _draw(axes: Axes, line: Line, look: dict[str, str]) -> None:
    spots = sorted(line.spots, key=lambda spot: spot.latency_ms)
    style = {**look, "linestyle": "-" if line.joined else "", "linewidth": 1.3, "markersize": 6}
    times, heights = [spot.latency_ms for spot in spots], [100 * spot.accuracy for spot in spots]
    axes.plot(times, heights, label=line.label, **style)
    hollow = [spot for spot in spots if not spot.trained]
    axes.plot(
        [spot.latency_ms for spot in hollow],
        [100 * spot.accuracy for spot in hollow],
        **{**style, "linestyle": "", "markerfacecolor": "white", "zorder": 3},
    )


def _set_axes(axes: Axes, spots: Sequence[Spot]) -> None:
    times = [spot.latency_ms for spot in spots]
    bottom, top = with_margin([100 * spot.accuracy for spot in spots])
    axes.set_ylim(bottom, top + 0.06 * (top - bottom))  # for the name of the highest
    if max(times) < _WIDE * min(times):
        axes.set_xlim(*with_margin(times))
        return
    axes.set_xscale("log")
    axes.set_xlim(*(10**edge for edge in with_margin([log10(time) for time in times])))
    axes.xaxis.set_major_formatter(LogFormatter())
