"""Pictures of how nets share weights and computation, drawn from networks that are built here, not by hand.

A column is a step of the full net, a row a net. A box is what runs once: it spans the nets that have computed the same
up to there. Boxes of one column stand on the same weights.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ddnn

PICTURES = {
    "shared-resnet20": ("resnet20", ["resnet8", "resnet14"]),
    "shared-resnet34": ("resnet34", ["resnet18"]),
}
WIDTH, HEIGHT, GAP, LEFT, TOP = 46, 34, 8, 96, 40
COLOURS = {"stem": "#5d6778", "layer1": "#0072b2", "layer2": "#009e73", "layer3": "#b25000", "layer4": "#8a3fa0"}
TEXT = 'font-family="system-ui, sans-serif" font-size="12" fill="{fill}"'


def picture(full: str, subnets: list[str]) -> str:
    """One network as SVG."""
    network = ddnn.build(full, subnets=subnets, num_classes=10)
    keys = [step.key for segment in network.segments([network.full]) for step in segment.steps]
    rows = {name: place for place, name in enumerate(network.names)}
    parts = [*_names(rows), *_stages(keys), *_boxes(network, keys, rows)]
    width, height = LEFT + len(keys) * (WIDTH + GAP) + GAP, TOP + len(rows) * (HEIGHT + GAP) + GAP
    label = f"Which steps the nets {', '.join(network.names)} take, and which run once for several"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
        f'<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>{"".join(parts)}</svg>\n'
    )


def _names(rows: dict[str, int]) -> Iterator[str]:
    for name, row in rows.items():
        y = TOP + row * (HEIGHT + GAP) + HEIGHT / 2 + 4
        yield f'<text x="14" y="{y}" {TEXT.format(fill="#1c2330")}>{name}</text>'


def _stages(keys: list[str]) -> Iterator[str]:
    """The name of each stage, over its first step."""
    for place, key in enumerate(keys):
        stage = key.partition(".")[0]
        if not place or keys[place - 1].partition(".")[0] != stage:
            x = LEFT + place * (WIDTH + GAP)
            yield f'<text x="{x}" y="24" {TEXT.format(fill="#5d6778")}>{stage}</text>'


def _boxes(network: ddnn.DepthDynamicNetwork, keys: list[str], rows: dict[str, int]) -> Iterator[str]:
    for segment in network.segments():
        places = sorted(rows[name] for name in segment.nets)
        y, height = TOP + places[0] * (HEIGHT + GAP), len(places) * (HEIGHT + GAP) - GAP
        for step in segment.steps:
            stage, _, block = step.key.partition(".")
            x, fill = LEFT + keys.index(step.key) * (WIDTH + GAP), COLOURS.get(stage, COLOURS["stem"])
            yield f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{height}" rx="6" fill="{fill}"/>'
            yield (
                f'<text x="{x + WIDTH / 2}" y="{y + height / 2 + 4}" text-anchor="middle" '
                f"{TEXT.format(fill='#ffffff')}>{int(block) + 1 if block else stage}</text>"
            )


def write(app: Any) -> None:
    """Draw them where the site's sources are; the files are not kept."""
    for name, (full, subnets) in PICTURES.items():
        path, drawn = Path(app.srcdir) / "pictures" / f"{name}.svg", picture(full, subnets)
        if not path.is_file() or path.read_text() != drawn:
            path.write_text(drawn)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
