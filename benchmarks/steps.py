"""Training steps to compare: of a whole network by EKD, and of stock models by cross-entropy.

A *maker* builds a step and all that it needs, weights and images included, and knows nothing of other steps. So the
same maker serves a measurement of time, next to others in one process, and one of memory, in a process of its own.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

import ddnn
from ddnn.config import TrainConfig
from ddnn.families import REGISTRY
from ddnn.network import DepthDynamicNetwork
from ddnn.network.subnets import Subnets
from ddnn.objectives import EKD
from ddnn.training.averaged_teacher import AveragedTeacher
from ddnn.training.optimization import make_optimizer
from ddnn.training.step import TrainingStep
from settings import Setting

Batch = tuple[Tensor, Tensor]
Pass = Callable[[Tensor, Tensor], Tensor]

OURS = "EKD"
"""What tables call the step that `ekd` makes."""

LEARNING_RATE = 1e-3  # small, so that many steps on one batch of noise stay finite


@dataclass(frozen=True)
class Problem:
    """What is trained on what.

    Args:
        full: the full net.
        subnets: its sub-nets, as `ddnn.build` takes them.
        side: of the images, in pixels.
        batch: images in a batch.
        classes: outputs.
        options: of the family, such as the stem; the size of the images is found out.
    """

    full: str
    subnets: Subnets
    side: int
    batch: int
    classes: int = 100
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """All nets, the full net last."""
        return (*self.subnets, self.full)

    def network(self) -> DepthDynamicNetwork:
        """The network, freshly made."""
        torch.manual_seed(0)
        return ddnn.build(self.full, self.subnets, num_classes=self.classes, **self._options)

    @property
    def _options(self) -> dict[str, Any]:
        """Vision transformers are built for images of one side."""
        families = [family for family in REGISTRY.values() if self.full in family.members]
        sized = any(known.name == "image_size" for family in families for known in fields(family.options))
        return {**({"image_size": self.side} if sized else {}), **self.options}

    def data(self, setting: Setting) -> Batch:
        """Noise and labels."""
        labels = torch.randint(self.classes, (self.batch,), device=setting.device)
        return setting.images(self.batch, self.side), labels

    def __str__(self) -> str:
        return f"{self.full} with {', '.join(self.subnets)}, {self.side}x{self.side}, batch {self.batch}"


class Iteration:
    """Forward and backward of each pass in turn, gradients added up, then one update.

    Gradients go at the end, so that of several large nets in one process only that whose turn it is has any.

    Args:
        passes: each maps images and labels to a loss.
        optimizer: of what is trained.
        data: what a step runs on if it is given nothing else.
    """

    def __init__(self, passes: Sequence[Pass], optimizer: Optimizer, data: Batch) -> None:
        self.passes, self.optimizer, self.data = passes, optimizer, data

    def __call__(self, data: Batch | None = None) -> None:
        """One step."""
        images, labels = self.data if data is None else data
        for forward in self.passes:
            forward(images, labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


Maker = Callable[[Setting], Iteration]


def ekd(problem: Problem, setting: Setting, *, recompute: bool = False, averaged: bool = False) -> Iteration:
    """EKD, all nets in one forward and one backward pass, what they share computed once.

    Args:
        problem: which nets.
        setting: where and how.
        recompute: with activation checkpointing.
        averaged: with the options of `ddnn train`, whose teacher is the running average of the full net's weights;
            otherwise the full net teaches, as in the paper.
    """
    objective = EKD(TrainConfig().ekd) if averaged else EKD()
    network = setting.place(problem.network().train())
    teacher = (
        AveragedTeacher(network, TrainConfig().ekd.decay) if objective.learns_from_average(network.names) else None
    )
    step = TrainingStep(network, objective, compile=setting.compile, recompute=recompute, teacher=teacher)

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        if teacher is not None:
            teacher.update(network, steps=1000)
        epoch = torch.zeros((), device=setting.device)
        return step(images, labels, epoch, network.names).total

    return Iteration([setting.in_precision(loss)], optimizer(network), problem.data(setting))


def unshared(problem: Problem, setting: Setting) -> Iteration:
    """The same objective with each net run by its own, so that only the weights are shared."""
    network, objective = setting.place(problem.network().train()), EKD()

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        outputs = {name: network.forward_all(images, [name])[name] for name in network.names}
        return objective(outputs, labels).total

    return Iteration([setting.program(loss)], optimizer(network), problem.data(setting))


def alone(problem: Problem, name: str, setting: Setting, *, fused: bool = True) -> Iteration:
    """A stock model by itself, cross-entropy.

    Args:
        problem: whose nets are meant.
        name: which one.
        setting: where and how.
        fused: with the optimizer of `ddnn train`; otherwise with torch's default implementation of SGD, as
            torchvision's reference training has it.
    """
    model = setting.place(problem.network().extract(name).train())

    def loss(images: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(model(images), labels)

    chosen = optimizer(model) if fused else default_sgd(model)
    return Iteration([setting.program(loss)], chosen, problem.data(setting))


def optimizer(model: nn.Module) -> Optimizer:
    """The optimizer of `ddnn train`."""
    return make_optimizer(model, TrainConfig(lr=LEARNING_RATE))


def default_sgd(model: nn.Module) -> Optimizer:
    """The same SGD in torch's default implementation; everything decays."""
    return torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=0.9, nesterov=True, weight_decay=5e-4)
