"""What a family has to say about itself: how to build a model of a depth, and in which steps that model runs.

Everything else (which parameters are tied, how far two sub-nets run together, what a stage's feature is) follows from
the steps, so a new family is one small file: subclass `Family`, and name the instance in `families/__init__.py`.
"""

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError, near

Depth = tuple[int, ...]
"""Blocks per stage, such as (3, 4, 6, 3) for ResNet-34."""

Part = str | Callable[[nn.Module, Any], Any]
"""A path to a sub-module, or a function of the model and the value that flows through it."""


Slices = tuple[tuple[tuple[int, int], ...] | None, ...]
"""Part of a tensor: for each axis the ranges (start, stop) that are taken, one after the other; None takes all."""


def _unchanged(value: Any) -> Tensor:
    return value


@dataclass(frozen=True)
class Step:
    """One piece of a model's forward pass; the whole model is its steps one after the other.

    Args:
        key: says which step this is, in every depth of the family alike. Two models whose first keys agree compute
            the same thing up to there.
        parts: what runs, in order.
        owns: paths of parameters and modules that a function among the parts uses.
        ends_stage: whether the value after this step is the feature of a stage.
        feature: makes (batch, channels, height, width) of that value, where it is laid out otherwise.
    """

    key: str
    parts: tuple[Part, ...]
    owns: tuple[str, ...] = ()
    ends_stage: bool = False
    feature: Callable[[Any], Tensor] = _unchanged

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of all modules and parameters that the step stands on."""
        return tuple(part for part in self.parts if isinstance(part, str)) + self.owns

    def modules(self, model: nn.Module) -> list[nn.Module]:
        """The modules among what the step stands on."""
        found = (attrgetter(path)(model) for path in self.paths)
        return [item for item in found if isinstance(item, nn.Module)]

    def run(self, model: nn.Module, value: Any) -> Any:
        """The value after this step of `model`."""
        for part in self.parts:
            value = model.get_submodule(part)(value) if isinstance(part, str) else part(model, value)
        return value


def flatten(_: nn.Module, value: Tensor) -> Tensor:
    """The part between the pooling and the classifier of a convolutional net: (batch, c, 1, 1) to (batch, c)."""
    return value.flatten(1)


@dataclass(frozen=True)
class NoOptions:
    """The options of a family that has none."""


class Family(ABC):
    """Architectures that differ in depth alone.

    Subclasses are final. `members` names the depths that have a name in the field; other depths work as well.
    """

    name: str
    members: Mapping[str, Depth]
    options: type = NoOptions
    default_input: tuple[int, int, int] = (3, 224, 224)
    """(channels, height, width) for which the family's cost is usually given."""
    default_classes: int = 1000
    """Outputs for which the family's cost is usually given."""
    images_are_independent: bool = True
    """Whether modules without state treat each image of a batch by itself, so that batches may be put together."""

    @abstractmethod
    def build(self, depth: Depth, num_classes: int, in_channels: int, options: Any) -> nn.Module:
        """The stock model of that depth, with fresh weights."""

    @abstractmethod
    def steps(self, depth: Depth) -> list[Step] | None:
        """The steps of a model of that depth; None if the model cannot be described so."""

    def slices(self, inner: Depth, outer: Depth, options: Any) -> Mapping[str, Slices]:
        """Which part of the full net's tensors those of a sub-net are, where they are not the whole.

        Args:
            inner: depth of the sub-net.
            outer: depth of the full net.
            options: that both are built with.

        Returns:
            Slices of the full net's tensor, by the name of the sub-net's.
        """
        return {}

    def branch_ends(self, model: nn.Module) -> Iterable[Tensor]:
        """The parameters that end the residual branches of a model: with zeros there, each branch gives zeros, and a
        block that keeps the shape passes on what it gets."""
        return ()

    @torch.no_grad()
    def zero_branches(self, model: nn.Module) -> None:
        """Let all residual branches of a fresh model start at zero; see `ddnn.build`.

        Raises:
            DDNNError: if it has none, or it is not known where they end.
        """
        ends = tuple(self.branch_ends(model))
        if not ends:
            raise DDNNError(f"zero_init is not possible for {self.name}: its nets have no residual branches; leave "
                            "it out")  # fmt: skip
        for parameter in ends:
            parameter.zero_()

    def stock_layout(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """A published state dict under the names that the stock model has today."""
        return state

    def stage_ends(self, depth: Depth) -> tuple[str, ...]:
        """Paths of the modules whose outputs are the features of the stages."""
        ending = [step for step in self.steps(depth) or [] if step.ends_stage]
        return tuple(next(part for part in reversed(step.parts) if isinstance(part, str)) for step in ending)

    def depth_of(self, member: str) -> Depth | None:
        """The depth of the member of this name; None if the family has none."""
        return self.members.get(member)

    def feature(self, value: Any) -> Tensor:
        """(batch, channels, height, width) of the value at the end of a stage, for nets that run one by one."""
        return value

    def check(self, depth: Depth) -> None:
        """Refuse a depth that no model of this family can have."""
        stages = len(next(iter(self.members.values())))
        if len(depth) != stages or any(blocks < 1 for blocks in depth):
            raise DDNNError(
                f"depth {depth} is not one of {self.name}: it takes {stages} stages of at least one block "
                f"each, such as {next(iter(self.members.values()))}"
            )

    def parse_options(self, given: Mapping[str, Any]) -> Any:
        """The family's options from keyword arguments.

        Raises:
            DDNNError: for a key or a value that the family does not take.
        """
        allowed = [field.name for field in dataclasses.fields(self.options)]
        for key in given:
            if key not in allowed:
                what = near(key, allowed) if allowed else "it has none"
                raise DDNNError(f"unknown option {key!r} of {self.name}; {what}")
        return self.options(**given)


def nests(depth: Depth, full: Depth) -> bool:
    """Whether a net of `depth` lies inside one of `full`: as many stages, none of them longer.

    >>> nests((2, 2, 2, 2), (3, 4, 6, 3)), nests((3, 4, 23, 3), (3, 4, 6, 3))
    (True, False)
    """
    return len(depth) == len(full) and all(inner <= outer for inner, outer in zip(depth, full, strict=True))


def common_prefix(first: list[Step], second: list[Step]) -> int:
    """Number of steps at the beginning that both models take alike."""
    length = 0
    for one, other in zip(first, second, strict=False):
        if one.key != other.key:
            break
        length += 1
    return length
