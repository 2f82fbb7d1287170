"""Run several nets on one input and compute what they have in common once, forward and so backward too.

Two nets that keep the first blocks of each stage compute the same thing until their depths first differ. Their steps
form a tree: the trunk is what all have in common, and each net is a path from the root to a leaf. This is what makes
training them together cheaper than one by one.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from torch import Tensor, nn

from ddnn.families.family import Step, common_prefix


class Output(NamedTuple):
    """What one net gives for a batch.

    Args:
        logits: (batch, classes).
        features: the value at the end of each stage, (batch, channels, height, width) in convolutional nets.
    """

    logits: Tensor
    features: tuple[Tensor, ...]


@dataclass(frozen=True)
class Branch:
    """Steps that run one after the other, and what goes on from there.

    Args:
        name: the net whose modules run (one of those that share these steps).
        steps: what runs.
        stage_ends: for each step, the nets for which the value after it is the feature of a stage; a block that ends
            a stage in one net may have others after it in another.
        branches: where the nets that came this far part; empty at the end of a net.
    """

    name: str
    steps: tuple[Step, ...]
    stage_ends: tuple[tuple[str, ...], ...]
    branches: tuple["Branch", ...] = ()


def grow(paths: Mapping[str, list[Step]]) -> tuple[Branch, ...]:
    """The tree of the nets' steps (net name to its remaining steps)."""

    def next_key(name: str) -> str:
        return paths[name][0].key

    return tuple(
        _branch({name: paths[name] for name in names})
        for _, names in groupby(sorted(paths, key=next_key), key=next_key)
    )


def _branch(paths: Mapping[str, list[Step]]) -> Branch:
    first, *others = paths
    length = min((common_prefix(paths[first], paths[other]) for other in others), default=len(paths[first]))
    return Branch(
        first,
        steps=tuple(paths[first][:length]),
        stage_ends=tuple(tuple(name for name in paths if paths[name][index].ends_stage) for index in range(length)),
        branches=grow({name: steps[length:] for name, steps in paths.items()}) if others else (),
    )


def run(branches: tuple[Branch, ...], nets: Mapping[str, nn.Module], x: Tensor) -> dict[str, Output]:
    """Every net's output for the images `x`; each step of the tree is computed once."""
    logits: dict[str, Tensor] = {}
    features: dict[str, tuple[Tensor, ...]] = dict.fromkeys(nets, ())
    _run(branches, nets, x, logits, features)
    return {name: Output(logits[name], features[name]) for name in nets}


def _run(
    branches: tuple[Branch, ...],
    nets: Mapping[str, nn.Module],
    value: Any,
    logits: dict[str, Tensor],
    features: dict[str, tuple[Tensor, ...]],
) -> None:
    for branch in branches:
        reached = value
        for step, names in zip(branch.steps, branch.stage_ends, strict=True):
            reached = step.run(nets[branch.name], reached)
            for name in names:
                features[name] = (*features[name], step.feature(reached))
        if branch.branches:
            _run(branch.branches, nets, reached, logits, features)
        else:
            logits[branch.name] = reached


def run_separately(
    model: nn.Module, stage_ends: tuple[str, ...], x: Tensor, feature: Callable[[Any], Tensor]
) -> Output:
    """The output of a model that cannot be described as steps; its features are caught as they pass.

    Args:
        model: any model.
        stage_ends: paths of the modules whose outputs are the features.
        x: the input.
        feature: makes (batch, channels, height, width) of such an output.
    """
    features: dict[str, Tensor] = {}

    def catch(path: str) -> Any:
        return lambda _module, _inputs, output: features.__setitem__(path, feature(output))

    handles = [model.get_submodule(path).register_forward_hook(catch(path)) for path in stage_ends]
    try:
        logits = model(x)
    finally:
        for handle in handles:
            handle.remove()
    return Output(logits, tuple(features[path] for path in stage_ends))
