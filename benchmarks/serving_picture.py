"""What `serving.py` has measured, as a picture: deadlines kept, and accuracy, over load.

python benchmarks/serving_picture.py FIGURES.json --output docs/pictures/serving-load.png
"""

import json
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from command import run
from ddnn.reporting.plots import looks, png
from load.stand import OURS


def main(figures: str, shape: str = "poisson", output: str = "docs/pictures/serving-load.png") -> None:
    """Draw one shape of traces.

    Args:
        figures: what `serving.py --output` wrote.
        shape: poisson or bursts.
        output: a PNG file.
    """
    tables = json.loads(Path(figures).read_text(encoding="utf-8"))["tables"]
    rows = next(table["rows"] for table in tables if table["title"] == shape)
    Path(output).write_bytes(png(drawn(rows)))


def drawn(rows: list[dict[str, Any]]) -> Figure:
    """Both panels."""
    figure = Figure(figsize=(11, 4.5), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    _panel(left, rows, "attained", "answered before the deadline, %")
    _panel(right, rows, "of_all", "expected accuracy of all, late and refused ones wrong, %")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, loc="outside right upper")
    return figure


def _panel(axes: Axes, rows: list[dict[str, Any]], key: str, title: str) -> None:
    axes.set_title(title, fontsize=10)
    for way, look in zip(dict.fromkeys(row["way"] for row in rows), looks(), strict=False):
        points = [(row["load"], 100 * row[key]) for row in rows if row["way"] == way]
        (line,) = axes.plot(*zip(*points, strict=True), label=way)
        line.set(linewidth=3 if way == OURS else 1.5, **look)
    axes.set_xscale("log", base=2)
    loads = sorted({row["load"] for row in rows})
    axes.set_xticks(loads, [f"{load:g}" for load in loads])
    axes.set_xlabel("load, 1 is what the full net carries")
    axes.set_ylim(bottom=0)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    run(main)
