"""Run one step of several nets in one call, where they have left the common prefix and stand on the same weights.

Past the prefix the nets' values differ, so each has to be computed. But a layer with many weights and few pixels, as
the last stages have, spends its time on fetching weights: one call on the values of all nets fetches them once, and
gives one gradient instead of several to add up. Only modules with state of their own, such as the running statistics
of a batch norm, still run net by net, each on its part of the batch.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from ddnn.families.family import Step

WEIGHTS_PER_VALUE = 4
"""A step runs in one call if it has at least so many weights for each number that goes into it.

From `benchmarks/joint_step.py` on two CPU cores (figures in docs/performance.md): one call for the blocks of two nets
takes less time than two from there on, and may take more far below, where the larger batch leaves the caches.
"""


class JointStep:
    """A step that several nets take on the same weights, as one call.

    Args:
        steps: the step of each net; their paths may differ.
        models: the nets.
    """

    def __init__(self, steps: Sequence[Step], models: Sequence[nn.Module]) -> None:
        self._model = models[0]
        self._weights = sum(parameter.numel() for parameter in _parameters(steps[0], models[0]))
        self._links = [link for step, model in zip(steps, models, strict=True) for link in _links(step, model)]
        parts = list(zip(*(step.parts for step in steps), strict=True))
        self._parts = {mode: [_joint_part(part, models, mode) for part in parts] for mode in (True, False)}

    def pays(self, values: Sequence[Any]) -> bool:
        """Whether one call on these values is faster than one for each, and still gives the same: somebody may have
        put another module into a net."""
        value = values[0]
        if not isinstance(value, Tensor) or self._weights < WEIGHTS_PER_VALUE * value.numel():
            return False
        return torch.compiler.is_compiling() or all(
            parent._modules.get(name) is child for parent, name, child in self._links
        )

    def __call__(self, values: Sequence[Tensor]) -> Sequence[Tensor]:
        """The values after the step, in the same order; all of one shape."""
        value: Any = torch.cat(tuple(values))
        for part in self._parts[self._model.training]:
            value = part(value) if isinstance(part, nn.Module) else part(self._model, value)
        return value.chunk(len(values))


def joint_step(steps: Sequence[Step], models: Sequence[nn.Module]) -> JointStep | None:
    """The steps of these nets as one call; None where they do not stand on the very same weights, or where functions
    use modules in ways that cannot be known here."""
    parameters = [_parameters(step, model) for step, model in zip(steps, models, strict=True)]
    identities = {tuple(map(id, own)) for own in parameters}
    known = not any(step.owns for step in steps)
    if len(models) < 2 or len(identities) > 1 or not parameters[0] or not known or _sliced(steps[0], models[0]):
        return None
    return JointStep(steps, models)


class _PerNet(nn.Module):
    """Modules with state of their own, each on its net's part of the batch."""

    def __init__(self, modules: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(modules)

    def forward(self, x: Tensor) -> Tensor:
        parts = x.chunk(len(self.nets))
        return torch.cat([module(part) for module, part in zip(self.nets, parts, strict=True)])


def _joint_part(parts: Sequence[Any], models: Sequence[nn.Module], training: bool) -> Any:
    if not isinstance(parts[0], str):
        return parts[0]
    return _together([model.get_submodule(path) for path, model in zip(parts, models, strict=True)], training)


def _together(modules: Sequence[nn.Module], training: bool) -> nn.Module:
    """One module that does for all nets what each of `modules` does for its own. It holds the first one's parameters
    and stateless children, as objects; `training` is the mode of what is made anew."""
    first = modules[0]
    if all(module is first for module in modules):
        return first
    if first._buffers:
        return _PerNet(modules)
    children = {
        name: _together([module.get_submodule(name) for module in modules], training)
        for name, _ in first.named_children()
    }
    if all(children[name] is child for name, child in first.named_children()):
        return first
    joint = copy(first)
    joint._modules = {**first._modules, **children}
    joint.training = training
    return joint


def _parameters(step: Step, model: nn.Module) -> list[nn.Parameter]:
    return [parameter for module in step.modules(model) for parameter in module.parameters()]


def _sliced(step: Step, model: nn.Module) -> bool:
    """Whether a net has only a part of the full net's tensor there (see `ddnn.sharing.Part`)."""
    return any(is_parametrized(inner) for module in step.modules(model) for inner in module.modules())


def _links(step: Step, model: nn.Module) -> Iterator[tuple[nn.Module, str, nn.Module]]:
    """(parent, name, child) from the model down to all modules of the step."""
    for part in step.parts:
        if isinstance(part, str):
            parent = model
            for name in part.split("."):
                child = parent.get_submodule(name)
                yield parent, name, child
                parent = child
            for inner in parent.modules():
                yield from ((inner, name, child) for name, child in inner.named_children())
