"""How the project's plots look: one style, whatever they show.

Names are the user's, so none is read as a formula; matplotlib's global state is left alone.
"""

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

COLOURS = ("#000000", "#E69F00", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9")
"""Told apart by colour-blind readers too (Okabe and Ito, 2008); their yellow is left out, too pale on white."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")
GREY = "#555555"


def looks() -> Iterator[dict[str, str]]:
    """Colour and marker of one line after the other."""
    for colour, marker in zip(cycle(COLOURS), cycle(MARKERS), strict=False):
        yield {"color": colour, "marker": marker}


def new_plot(title: str) -> tuple[Figure, Axes]:
    """An empty plot with a title."""
    figure = Figure(figsize=(9, 5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, parse_math=False, pad=14)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def add_legend(axes: Axes, *, some_untrained: bool) -> None:
    """What the lines are, beside the plot, and that hollow markers are nets that were not trained."""
    handles, labels = axes.get_legend_handles_labels()
    if some_untrained:
        handles.append(Line2D([], [], color=GREY, marker="o", markerfacecolor="white", linestyle=""))
        labels.append("not trained")
    legend = axes.figure.legend(handles, labels, frameon=False, loc="outside right upper")
    for text in legend.get_texts():
        text.set_parse_math(False)


def with_margin(values: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis that leave room around the values."""
    margin = 0.08 * (max(values) - min(values)) or 0.5
    return min(values) - margin, max(values) + margin


def png(figure: Figure) -> bytes:
    """The plot as a PNG file."""
    content = BytesIO()
    figure.savefig(content, format="png")
    return content.getvalue()
