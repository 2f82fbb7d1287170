"""The joint step, up to its loss: all nets' forward pass and the objective, one function that can be compiled whole.

Compiled, the backward pass follows from the same program, so that a step on small nets is not spent in Python. What
changes from step to step must come in as tensors, for torch compiles anew for each new number.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from ddnn.network import DepthDynamicNetwork
from ddnn.network.lanes import ForkGradients, Output
from ddnn.objectives import EKD, PARTNER, TEACHER, Joint, Loss, Objective
from ddnn.objectives.objective import AT_ONCE, net_weights
from ddnn.training.averaged_teacher import AveragedTeacher

Program = Callable[[Tensor, Tensor, Tensor], Loss]
LossOf = Callable[[Mapping[str, Output], Tensor, float | Tensor], Loss]


class TrainingStep:
    """From a batch to its loss.

    All batches of a run have the same number of images (see `ddnn.data.order`). Another one works when compiled too,
    and is compiled once more. Each size of images has a program of its own.

    Args:
        network: all nets.
        objective: what is minimised.
        compile: whether to compile, with one program for each set of nets that is asked for; or torch.compile's mode.
        recompute: activation checkpointing, see `DepthDynamicNetwork.forward_all`.
        partner: a second network of the same nets, for objectives that have one.
        teacher: the average of the full net's weights, for objectives that learn from it.
        fork_gradients: what flows back where nets part, see `DepthDynamicNetwork.forward_all`.
        smooth_subnets: whether the objective's label smoothing is for sub-nets too.

    Example:
        >>> import ddnn, torch
        >>> net = ddnn.build("resnet20", subnets=["resnet8", "resnet14"], num_classes=10)
        >>> step = TrainingStep(net, ddnn.Joint())
        >>> loss = step(torch.randn(4, 3, 32, 32), torch.arange(4), torch.tensor(0.5), ("resnet8", "resnet20"))
        >>> sorted(loss.parts)
        ['ce/resnet20', 'ce/resnet8']
    """

    def __init__(
        self,
        network: DepthDynamicNetwork,
        objective: Objective,
        compile: bool | str = False,
        recompute: bool = False,
        partner: DepthDynamicNetwork | None = None,
        teacher: AveragedTeacher | None = None,
        fork_gradients: ForkGradients = "sum",
        smooth_subnets: bool = True,
    ) -> None:
        self._network, self._objective, self._partner, self._teacher = network, objective, partner, teacher
        self._compile, self._recompute, self._smooth_subnets = compile, recompute, smooth_subnets
        self._fork_gradients: ForkGradients = fork_gradients
        self._programs: dict[tuple[tuple[str, ...], tuple[str, ...] | None, torch.Size], Program] = {}

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        epoch: Tensor,
        names: tuple[str, ...],
        teachers: tuple[str, ...] | None = None,
    ) -> Loss:
        """The loss of one batch.

        Args:
            images: (batch, channels, height, width).
            labels: class numbers, (batch,), or the classes' shares, (batch, classes).
            epoch: epochs trained so far with the fraction of this one, a scalar.
            names: the nets that are trained, the full net last.
            teachers: in steps that train sub-nets alone, those that run without a gradient to teach them.
        """
        key = names, teachers, images.shape[1:]
        if key not in self._programs:
            self._programs[key] = self._program(names, teachers)
        return self._programs[key](images, labels, epoch)

    def _program(self, learners: tuple[str, ...], teachers: tuple[str, ...] | None) -> Program:
        network, recompute, fork_gradients = self._network, self._recompute, self._fork_gradients
        names, teaching = (*learners, *(teachers or ())), teachers or ()
        objective = self._minimised(learners, teachers)
        partner, teacher = self._partner, self._teacher if self._objective.learns_from_average(names) else None

        def program(images: Tensor, labels: Tensor, epoch: Tensor) -> Loss:
            outputs = network.forward_all(
                images, names, recompute=recompute, fork_gradients=fork_gradients, teaching=teaching
            )
            if partner is not None:
                others = partner.forward_all(images, names, recompute=recompute, fork_gradients=fork_gradients)
                outputs = {PARTNER + name: output for name, output in others.items()} | outputs
            if teacher is not None:
                outputs = {TEACHER: Output(teacher(images), ())} | outputs
            return objective(outputs, labels, epoch)

        if not self._compile:
            return program
        mode = None if self._compile is True else self._compile
        compiled: Any = torch.compile(_with_own_code(program), dynamic=False, mode=mode)
        return compiled

    def _minimised(self, learners: tuple[str, ...], teachers: tuple[str, ...] | None) -> LossOf:
        """The loss of these nets, a function of outputs, labels and the epoch."""
        objective, full = self._objective, self._network.full
        if teachers is not None:
            return _without_full(objective, learners, full, self._smooth_subnets)
        if self._smooth_subnets or learners == (full,):
            return objective
        of_subnets = _without_full(objective, learners[:-1], full, smooth=False)

        def apart(outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor) -> Loss:
            of_full = {name: output for name, output in outputs.items() if name in (TEACHER, full)}
            return added([objective(of_full, labels, epoch), of_subnets(outputs, labels, epoch)])

        return apart


def added(losses: Sequence[Loss]) -> Loss:
    """The sum of losses. Of a part that several have, it is the first one's that counts: in the others, the net only
    teaches."""
    first, *others = losses
    for other in others:
        first = Loss(first.total + other.total, other.parts | first.parts)
    return first


def _without_full(objective: Objective, subnets: tuple[str, ...], full: str, smooth: bool) -> LossOf:
    """The loss of a step in which the full net does not learn: it counts nothing there, and the sub-nets what they
    count beside it."""
    assert isinstance(objective, EKD | Joint), "the configuration allows no other"
    weights = net_weights((*subnets, full), objective.loss_weights) | {full: 0.0}
    smoothing = objective.label_smoothing if smooth else 0.0
    at_once = replace(objective, loss_weights=weights, label_smoothing=smoothing, subnet_ramp=AT_ONCE)

    def ramped(outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor) -> Loss:
        loss = at_once(outputs, labels, epoch)
        return Loss(loss.total * objective.subnet_ramp(epoch), loss.parts)

    return ramped


def _with_own_code(function: Any) -> FunctionType:
    """A copy of a function, with a code object of its own.

    torch keeps what it has compiled, eight programs at most (`torch._dynamo.config.recompile_limit`), with the code
    object, which all functions made by one `def` share. A ninth, for other nets or another run in the same process,
    would run uncompiled.
    """
    return FunctionType(
        function.__code__.replace(), function.__globals__, function.__name__, None, function.__closure__
    )
