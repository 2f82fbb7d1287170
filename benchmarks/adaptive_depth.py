"""Training as Adaptive Depth Networks do it (Kang and Lee, NeurIPS 2024, arXiv 2312.16392), written from the paper.

Taken: two forward and two backward passes an iteration, first the full net with cross-entropy, then the smallest one,
which learns from the full net's detached posterior alone, temperature 1, one half each; gradients add up and one update
follows. The smallest net leaves out the last blocks of each stage. Every block that it keeps has two sets of batch
norms, one for each net, weights and statistics; stem, shortcuts and head are shared, as in the authors' code.

Left out: the choice of the 500 classes that the full net finds likeliest, which the authors make on ImageNet (here the
divergence is over all classes, which costs about the same), and the divergence of features, an option of theirs for one
model. The paper keeps half of each stage's blocks; here the smallest net is the one that EKD trains too, so that both
methods train the same two nets. The optimizer is that of `ddnn train`.
"""

import re

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddnn.objectives.distillation import posterior_divergence
from settings import Setting
from steps import Iteration, Problem, optimizer

SHARE = 0.5  # of the full net's loss; the rest is the smallest net's


def adaptive_depth(problem: Problem, setting: Setting) -> Iteration:
    """The step for the full net and the first sub-net of a problem, both ResNets."""
    network = problem.network()
    full, smallest = network.extract(problem.full), network.extract(problem.names[0])
    share_all_but_block_norms(smallest, full)
    both = setting.place(nn.ModuleList([full, smallest]).train())
    passes = _Passes(full, smallest, setting)
    return Iteration([passes.full, passes.smallest], optimizer(both), problem.data(setting))


def share_all_but_block_norms(smallest: nn.Module, full: nn.Module) -> None:
    """Put the full net's own layers into the smallest one, but for the norms of residual blocks."""
    for path, module in list(smallest.named_modules()):
        private = isinstance(module, nn.BatchNorm2d) and re.fullmatch(r"layer\d+\.\d+\.bn\d+", path)
        if path and not private and not any(module.children()):
            smallest.set_submodule(path, full.get_submodule(path))


class _Passes:
    """The two passes of an iteration; the first one leaves its logits for the second."""

    def __init__(self, full: nn.Module, smallest: nn.Module, setting: Setting) -> None:
        def learn(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
            logits = full(images)
            return SHARE * functional.cross_entropy(logits, labels), logits.detach()

        def follow(images: Tensor, teacher: Tensor) -> Tensor:
            return (1 - SHARE) * posterior_divergence(smallest(images), teacher)

        self._learn, self._follow = setting.program(learn), setting.program(follow)
        self._teacher = torch.empty(0)

    def full(self, images: Tensor, labels: Tensor) -> Tensor:
        loss, self._teacher = self._learn(images, labels)
        return loss

    def smallest(self, images: Tensor, _labels: Tensor) -> Tensor:
        return self._follow(images, self._teacher)
