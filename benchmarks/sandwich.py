"""Training by the sandwich rule with inplace distillation (Yu and Huang, arXiv 1903.05134), written from the paper.

Taken: in each iteration the largest net learns from the labels, the smallest and some random ones between them learn
from the largest one's detached soft prediction by cross-entropy; each net has a forward and a backward pass of its own,
gradients add up, and one update follows.

Changed: the paper scales widths, here it is depth, so what a net leaves out are the last blocks of each stage. Random
nets are drawn from a pool of six depths, evenly spread from shallow to deep, where the paper draws from all. Left out:
new batch-norm statistics for each net after the training, which cost nothing during it; here every net has statistics
of its own and they are updated as it runs. The optimizer is that of `ddnn train`.
"""

import random
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor
from torch.nn import functional

from ddnn.families import Depth
from ddnn.network import DepthDynamicNetwork
from settings import Setting
from steps import Iteration, Problem, optimizer

POOL = 6
SMALLEST = "smallest"


def sandwich(problem: Problem, between: int, setting: Setting) -> Iteration:
    """The step for the full net, the first sub-net of a problem, and so many random nets between them."""
    network = setting.place(_with_pool(problem, between).train())
    passes, data = _Passes(network, setting), problem.data(setting)
    passes.try_all(*data)
    rest = [passes.smallest] + [passes.random] * between
    return Iteration([passes.largest, *rest], optimizer(network), data)


def _with_pool(problem: Problem, between: int) -> DepthDynamicNetwork:
    """A network of the largest and the smallest net, and those that may be drawn."""
    network = problem.network()
    others = depths_between(network, problem)
    count = min(POOL, len(others)) if between else 0
    drawn = [others[(2 * number + 1) * len(others) // (2 * count)] for number in range(count)]
    smallest = network.depths[problem.names[0]]
    named = {"-".join(map(str, depth)): depth for depth in drawn}
    return replace(problem, subnets={SMALLEST: smallest, **named}).network()


def depths_between(network: DepthDynamicNetwork, problem: Problem) -> list[Depth]:
    """All depths that contain the first sub-net of a problem and lie in the full net, shallow to deep, without both."""
    smallest, largest = network.depths[problem.names[0]], network.depths[problem.full]
    ranges = (range(low, high + 1) for low, high in zip(smallest, largest, strict=True))
    return sorted((depth for depth in product(*ranges) if depth not in (smallest, largest)), key=sum)


class _Passes:
    """The passes of an iteration; that of the largest net leaves its prediction for the others."""

    def __init__(self, network: DepthDynamicNetwork, setting: Setting) -> None:
        def learn(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            logits = network(images)
            return functional.cross_entropy(logits, labels), logits.detach().softmax(dim=1)

        def follow(name: str, images: Tensor, prediction: Tensor) -> Tensor:
            return functional.cross_entropy(network(images, name), prediction)

        self._learn, self._follow = setting.program(learn), setting.program(follow)
        self._between = [name for name in network.subnet_names if name != SMALLEST]
        self._random = random.Random(0)
        self._prediction = torch.empty(0)

    def try_all(self, images: Tensor, labels: Tensor) -> None:
        """Run each net once, for a compiled one is compiled at its first run."""
        self.largest(images, labels)
        for name in (SMALLEST, *self._between):
            self._follow(name, images, self._prediction).backward()

    def largest(self, images: Tensor, labels: Tensor) -> Tensor:
        loss, self._prediction = self._learn(images, labels)
        return loss

    def smallest(self, images: Tensor, _labels: Tensor) -> Tensor:
        return self._follow(SMALLEST, images, self._prediction)

    def random(self, images: Tensor, _labels: Tensor) -> Tensor:
        return self._follow(self._random.choice(self._between), images, self._prediction)
