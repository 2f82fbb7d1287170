"""Tie a sub-net to the full net: the same parameters everywhere, the same modules where both compute the same thing.

Parameters are tied as objects, so the optimizer, DDP and `deepcopy` treat them as they treat any shared parameter.
Running statistics are state of what a net computes, not of its weights. So they are shared, by sharing the module,
exactly as far as two nets compute the same thing; past that point a sub-net has its own.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError
from ddnn.families.family import Step


def tie(subnet: nn.Module, full: nn.Module, paths: dict[str, str]) -> None:
    """Make the full net's parameters those of `subnet`, and start its buffers from copies of the full net's.

    Args:
        subnet: a stock model, on any device; the meta device will do.
        full: the net that it lies in.
        paths: for each part of `subnet`, the path of the part of `full` that it stands on; `{"": ""}` if all names
            agree.

    Raises:
        DDNNError: if a tensor has no counterpart of the same shape.
    """
    for inner, outer in paths.items():
        for name, tensor in _tensors(subnet, inner):
            counterpart = _tensor(full, _join(outer, name))
            if counterpart is None or counterpart.shape != tensor.shape:
                found = "no such tensor" if counterpart is None else f"shape {tuple(counterpart.shape)}"
                raise DDNNError(
                    f"{_join(inner, name)} of the sub-net, shape {tuple(tensor.shape)}, cannot be shared: "
                    f"the full net has {found} at {_join(outer, name)}; only depth may differ"
                )
            _assign(subnet, _join(inner, name), counterpart)
    left = [name for name, tensor in [*subnet.named_parameters(), *subnet.named_buffers()] if tensor.is_meta]
    if left:
        raise DDNNError(f"{', '.join(left)} of the sub-net belong to no step that the full net has too")


def share_modules(subnet: nn.Module, owner: nn.Module, paths: dict[str, str]) -> None:
    """Put `owner`'s own modules into `subnet` at `paths` (path in `subnet` to path in `owner`)."""
    for inner, outer in paths.items():
        shared = _resolve(owner, outer)
        if isinstance(shared, nn.Module):
            parent, _, leaf = inner.rpartition(".")
            setattr(subnet.get_submodule(parent), leaf, shared)


def corresponding_paths(inner: list[Step], outer: list[Step]) -> dict[str, str]:
    """For each path that the steps `inner` stand on, the path of the step with the same key among `outer`."""
    by_key = {step.key: step for step in outer}
    missing = [step.key for step in inner if step.key not in by_key]
    if missing:
        raise DDNNError(f"the sub-net has steps that the full net lacks: {', '.join(missing)}")
    return {
        path: counterpart
        for step in inner
        for path, counterpart in zip(step.paths, by_key[step.key].paths, strict=True)
    }


def _tensors(model: nn.Module, path: str) -> Iterator[tuple[str, Tensor]]:
    """Names (relative to `path`) and values of all parameters and buffers at or below `path`."""
    found = _resolve(model, path)
    if isinstance(found, Tensor):
        yield "", found
    else:
        yield from found.named_parameters(remove_duplicate=False)
        yield from found.named_buffers(remove_duplicate=False)


def _resolve(model: nn.Module, path: str) -> nn.Module | Tensor:
    parent, _, leaf = path.rpartition(".")
    return getattr(model.get_submodule(parent), leaf) if path else model


def _tensor(model: nn.Module, path: str) -> Tensor | None:
    try:
        return model.get_parameter(path)
    except AttributeError:
        try:
            return model.get_buffer(path)
        except AttributeError:
            return None


def _assign(model: nn.Module, path: str, tensor: Tensor) -> None:
    parent, _, leaf = path.rpartition(".")
    module = model.get_submodule(parent)
    if leaf in module._parameters:
        module._parameters[leaf] = tensor  # type: ignore[assignment]  # a Parameter wherever the sub-net has one
    else:
        module._buffers[leaf] = torch.clone(tensor)


def _join(path: str, name: str) -> str:
    return ".".join(part for part in (path, name) if part)
