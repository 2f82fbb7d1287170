"""How much worse a cascade is on new images than on those that its thresholds were chosen on.

python benchmarks/cascade_calibration.py runs/cifar10 [--repeats 60 --output figures.json]

The held-out and the test images of a run are put together and divided anew, again and again. On one part the cheapest
cascade is chosen that is as accurate there as the most accurate net; on the others it is compared with the net that is
most accurate there. So is it for several sizes of the first part, and grids of several sizes.
"""

from pathlib import Path
from statistics import mean, stdev
from unittest import mock

import numpy as np

import ddnn
from command import run
from ddnn.cascading import thresholds
from ddnn.cascading.costs import Costs, macs_of
from ddnn.cascading.held_out import held_out_images
from ddnn.cascading.thresholds import choose, front
from ddnn.cascading.votes import Votes, gather
from ddnn.config import CascadeConfig
from ddnn.engines.torch_engine import TorchEngine
from reporting import Report

CELLS = (400, 2000, 40_000)
"""Cascades of a choice of nets that are tried; `ddnn cascade` tries the second number."""


def main(run: str, repeats: int = 60, output: str | None = None) -> None:
    """Print how far short cascades fall.

    Args:
        run: a run directory whose data has held-out and test images.
        repeats: divisions for each line of the table.
        output: a JSON file for the figures, too.
    """
    network = ddnn.load(run)
    data, _ = held_out_images(network, Path(run), CascadeConfig())
    engine = TorchEngine(network, (data.channels, *data.size))
    held = data.validation("cpu")
    assert held is not None
    parts = [gather(engine.names, engine.opinions, batches) for batches in (held, data.test("cpu"))]
    votes = Votes(
        engine.names,
        np.concatenate([part.confidences for part in parts], axis=1),
        np.concatenate([part.right for part in parts], axis=1),
    )
    sizes = [size for size in (500, 1000, 5000) if size <= votes.images // 2]
    rows = [line(votes, macs_of(engine), size, cells, repeats) for size in sizes for cells in CELLS]
    Report("how much worse is a cascade on new images?", output).table(
        f"{run}: {votes.images} images, divided {repeats} times; accuracy in points", rows
    )


def line(votes: Votes, macs: Costs, size: int, cells: int, repeats: int) -> dict[str, float]:
    """Chosen on so many images, from a grid of so many cascades."""
    found = [divide(votes, macs, size, cells, seed) for seed in range(repeats)]
    differences, costs = [100 * difference for difference, _ in found], [cost for _, cost in found]
    return {
        "chosen_on": size,
        "cascades": cells,
        "accuracy_difference": mean(differences),
        "deviation": stdev(differences),
        "reached": sum(difference >= 0 for difference in differences) / repeats,
        "of_macs": mean(costs),
    }


def divide(votes: Votes, macs: Costs, size: int, cells: int, seed: int) -> tuple[float, float]:
    """Accuracy less that of the best net, and cost as a share of that net's, on images that nothing was chosen on."""
    order = np.random.default_rng(seed).permutation(votes.images)
    chosen, rest = (Votes(votes.names, votes.confidences[:, part], votes.right[:, part])
                    for part in (order[:size], order[votes.images // 2 :]))  # fmt: skip
    with mock.patch.object(thresholds, "MOST_CELLS", cells):
        points = front(chosen, macs)
    point = choose(points, {"accuracy": max(chosen.accuracy(name) for name in chosen.names)})
    who, right = rest.cascade(point.thresholds, point.last)
    best = max(rest.names, key=rest.accuracy)
    answered = np.bincount(who, minlength=len(point.names)) / rest.images
    cost = macs.average(point.names, answered.tolist())
    return float(right.mean()) - rest.accuracy(best), cost / macs.added([best])[0]


if __name__ == "__main__":
    run(main)
