"""What a training step of `ddnn train` costs in Python, beside what the network itself does.

python benchmarks/loop.py [--steps 200 --turns 10 --objective joint --device cpu]

A network with almost nothing in it is trained on the bundled digits by `ddnn.train`, with Lightning's loop, callbacks
and logging; then by a bare loop: the same batches, forward, loss, backward and update, and nothing else. The difference
is what the loop costs. On a GPU nothing in a step waits for the card, so it matters only where a step is shorter than
its Python time: for small nets.

The clock is that of the thread on a CPU, so that other processes do not count, and that of the wall on a GPU. A step is
what lies between two calls of the full net, and the first decile of an epoch's steps counts; the two loops take an
epoch each in turn, and the median over the turns is given, of the difference too.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import torch
from torch import Tensor, nn

import ddnn
from command import run
from ddnn import DepthDynamicNetwork, TrainConfig
from ddnn.config import EKDConfig
from ddnn.data import open_data
from ddnn.objectives import make_objective
from ddnn.training.optimization import make_optimizer
from ddnn.training.step import TrainingStep
from reporting import Report

BATCH = 4  # of images that no time goes into


class AlmostEmpty(nn.Module):
    """A stage of two blocks that do nothing, and a head; notes when it is called.

    Args:
        clock: what time it is.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.layer1 = nn.Sequential(nn.Identity(), nn.Identity())
        self.head = _Head(clock)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.layer1(images))


class _Head(nn.Module):
    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.linear = nn.Linear(64, 10)
        self.clock, self.calls = clock, []

    def forward(self, images: Tensor) -> Tensor:
        self.calls.append(self.clock())
        return self.linear(images.flatten(1))


def main(
    steps: int = 200,
    turns: int = 10,
    objective: str = "joint",
    device: str = "cpu",
    output: str | None = None,
) -> None:
    """Print the table.

    Args:
        steps: in an epoch.
        turns: of an epoch each.
        objective: joint, or ekd with the full net as the teacher.
        device: cpu or cuda.
        output: a JSON file for the results.
    """
    report = Report("What does a training step cost beside the network?", output)
    report.table(f"Python time of a step, {objective}, {device}", [row(steps, turns, objective, device)])


def row(steps: int, turns: int, objective: str, device: str) -> dict[str, Any]:
    """Milliseconds of a step in `ddnn.train`, in a bare loop, and of what the former adds."""
    plain: Any = {"objective": objective, "device": device, "epochs": 1, "batch_size": BATCH}
    config = TrainConfig(**plain, ekd=EKDConfig(1.0, 0.0, 1.0), train_images=steps * BATCH, validation=0.0, lr=1e-3)
    pairs = [(in_training(config), in_bare_loop(config)) for _ in range(turns)]
    trained, bare, beside = (median(column) for column in zip(*((t, b, t - b) for t, b in pairs), strict=True))
    return {"steps": steps * turns, "train_ms": trained, "bare_ms": bare, "beside_ms": beside}


def in_training(config: TrainConfig) -> float:
    """Milliseconds of a step of `ddnn.train`."""
    network, head = _network(config)
    with tempfile.TemporaryDirectory() as folder:
        config = replace(config, output=str(Path(folder, "run")))
        ddnn.train(config, network=network, progress=False)
    return _milliseconds(head.calls)


def in_bare_loop(config: TrainConfig) -> float:
    """The same without Lightning."""
    network, head = _network(config)
    network.to(config.device).train()
    step, optimizer = TrainingStep(network, make_objective(config)), make_optimizer(network, config)
    batches, epoch = open_data(config, config.seed).training(config.device), torch.zeros((), device=config.device)
    head.calls.clear()
    for number in range(config.epochs):
        batches.set_epoch(number)
        for images, labels in batches:
            step(images, labels, epoch, network.names).total.backward()
            optimizer.step()
            optimizer.zero_grad()
    return _milliseconds(head.calls)


def _network(config: TrainConfig) -> tuple[DepthDynamicNetwork, _Head]:
    clock = time.thread_time if config.device == "cpu" else time.perf_counter
    model = AlmostEmpty(clock)
    return ddnn.from_model(model, ["layer1"], {"half": (1,)}, example=torch.zeros(2, 1, 8, 8)), model.head


def _milliseconds(calls: list[float]) -> float:
    """The first decile of the times between calls: what disturbs a step only makes it longer."""
    return 1e3 * quantiles((after - before for before, after in pairwise(calls)), n=10)[0]


if __name__ == "__main__":
    run(main)
