"""Take one step of several nets in one call, where they have left the common prefix and stand on the same weights.

Past the prefix the nets' values differ, so each has to be computed. But a layer with many weights and few pixels, as
the last stages have, spends its time on fetching weights: one call on the values of all nets fetches them once, and
gives one gradient instead of several to add up.

What is called is put together anew each time, from the nets as they are: whatever is not exactly alike in all of them
(running statistics, modes, rates, hooks, parametrizations, weights that somebody has replaced) runs net by net, each
on its part of the batch.
"""

from collections.abc import Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ddnn.families.family import Step

WEIGHTS_PER_VALUE = 4
"""A step runs in one call if that has at least so many weights for each number that goes into it.

From `benchmarks/joint_call.py` on two CPU cores (figures in docs/performance.md): one call for the blocks of two nets
takes less time than two from there on, and may take more far below, where the larger batch leaves the caches.
"""

_OF_ANY_MODULE = frozenset(vars(nn.Module()))
"""Attributes that every module has: its parameters, buffers, children and hooks, which are compared one by one."""

_HOOKS = tuple(name for name in _OF_ANY_MODULE if name.endswith("_hooks"))

_PLAIN = (bool, int, float, complex, str, bytes, tuple, list, type(None))


def can_pay(step: Step, model: nn.Module, values: Sequence[Any]) -> bool:
    """Whether `joint_call` is worth a try: the values can be put into one batch, and the step has the weights.

    A function of a step that owns something uses it in ways that cannot be known here. A compiler cannot trace how the
    call is put together, and compiled steps run net by net.
    """
    value = values[0]
    if step.owns or torch.compiler.is_compiling() or not isinstance(value, Tensor):
        return False
    weights = sum(parameter.numel() for module in step.modules(model) for parameter in module.parameters())
    return weights >= WEIGHTS_PER_VALUE * value.numel() and all(other.shape == value.shape for other in values)


def joint_call(steps: Sequence[Step], models: Sequence[nn.Module], values: Sequence[Tensor]) -> list[Tensor] | None:
    """The values of several nets after a step that they all take; None where one call does not pay.

    Args:
        steps: the step of each net; their paths may differ.
        models: the nets.
        values: what goes in, of one shape.
    """
    parts = [_joint_part(part, models) for part in zip(*(step.parts for step in steps), strict=True)]
    shared = sum(_shared_weights(part) for part in parts if isinstance(part, nn.Module))
    if shared < WEIGHTS_PER_VALUE * values[0].numel():
        return None
    value: Any = torch.cat(tuple(values))
    for part in parts:
        value = part(value) if isinstance(part, nn.Module) else part(models[0], value)
    return [own.clone() for own in value.chunk(len(values))]  # no views of one tensor: users may write into theirs


class _PerNet(nn.Module):
    """Modules that differ, each on its net's part of the batch."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.nets))
        return torch.cat([module(part) for module, part in zip(self.nets, parts, strict=True)])


def _joint_part(parts: Sequence[Any], models: Sequence[nn.Module]) -> Any:
    if not isinstance(parts[0], str):
        return parts[0]
    return _together([model.get_submodule(path) for path, model in zip(parts, models, strict=True)])


def _together(modules: Sequence[nn.Module]) -> nn.Module:
    """One module that does for all nets what each of `modules` does for its own."""
    first, *others = modules
    if all(other is first for other in others):
        return first
    if not all(_alike(first, other) for other in others):
        return _PerNet(modules)
    children = {
        name: _together([module.get_submodule(name) for module in modules]) for name, _ in first.named_children()
    }
    if all(children[name] is child for name, child in first.named_children()):
        return first
    joint = copy(first)
    joint._modules = {**first._modules, **children}
    return joint


def _alike(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules do the same, as far as it is not their children that do it, and nobody listens."""
    if type(one) is not type(other) or any(_is_special(module) for module in (one, other)):
        return False
    if one._parameters.keys() != other._parameters.keys() or one._modules.keys() != other._modules.keys():
        return False
    return all(one._parameters[name] is other._parameters[name] for name in one._parameters) and _settings_agree(
        one, other
    )


def _is_special(module: nn.Module) -> bool:
    """Whether a module has state, hooks or a parametrization, or somebody has replaced its `forward`."""
    hooked = any(getattr(module, name) for name in _HOOKS)
    return bool(module._buffers) or hooked or is_parametrized(module) or "forward" in vars(module)


def _settings_agree(one: nn.Module, other: nn.Module) -> bool:
    names = vars(one).keys() | vars(other).keys()
    own = {name for name in names if name == "training" or name not in _OF_ANY_MODULE}
    return all(_same(vars(one).get(name), vars(other).get(name)) for name in own)


def _same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and isinstance(one, _PLAIN) and repr(one) == repr(other))


def _shared_weights(module: nn.Module) -> int:
    """Numbers in the parameters that are fetched once for all nets."""
    if isinstance(module, _PerNet):
        return 0
    own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
    return own + sum(_shared_weights(child) for child in module.children())
