"""Tie a sub-net to the full net: the same parameters everywhere, the same modules where both compute the same thing.

Parameters are tied as objects, so the optimizer, DDP and `deepcopy` treat them as they treat any shared parameter.
Where a sub-net's tensor is a part of the full net's (DenseNet), a parametrization takes that part out of the full net's
own parameter. Running statistics are state of what a net computes, not of its weights. So they are shared, by sharing
the module, exactly as far as two nets compute the same thing; past that point a sub-net has its own.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from ddnn.errors import DDNNError
from ddnn.families.family import Slices, Step


class Part(nn.Module):
    """A parametrization: the slices of a parameter of the full net that are a sub-net's tensor."""

    def __init__(self, slices: Slices) -> None:
        super().__init__()
        self.slices = slices

    def forward(self, whole: Tensor) -> Tensor:
        """The part of `whole`."""
        for axis, ranges in enumerate(self.slices):
            if ranges is not None:
                pieces = [whole.narrow(axis, start, stop - start) for start, stop in ranges]
                whole = pieces[0] if len(pieces) == 1 else torch.cat(pieces, dim=axis)
        return whole


def tie(subnet: nn.Module, full: nn.Module, paths: Mapping[str, str], slices: Mapping[str, Slices]) -> None:
    """Make the full net's parameters those of `subnet`; its buffers start as copies of the full net's, and its modules
    in the modes (training or evaluation) of the full net's.

    Args:
        subnet: a stock model, on any device; the meta device will do.
        full: the net that it lies in.
        paths: for each part of `subnet`, the path of the part of `full` that it stands on; `{"": ""}` if all names
            agree.
        slices: the tensors of `subnet` that are parts of the full net's.

    Raises:
        DDNNError: if a tensor has no counterpart of the same shape.
    """
    subnet.train(full.training)
    for inner, outer in paths.items():
        _copy_modes(_resolve(subnet, inner), _resolve(full, outer))
        for relative, tensor in list(_tensors(subnet, inner)):
            name, source = _join(inner, relative), _join(outer, relative)
            whole, part = _tensor(full, source), slices.get(name)
            counterpart = Part(part)(whole) if whole is not None and part is not None else whole
            if counterpart is None or counterpart.shape != tensor.shape:
                found = "no such tensor" if counterpart is None else f"shape {tuple(counterpart.shape)}"
                raise DDNNError(
                    f"{name} of the sub-net, shape {tuple(tensor.shape)}, cannot be shared: the full net has {found} "
                    f"at {source}; only depth may differ"
                )
            if part is not None and isinstance(whole, nn.Parameter):
                _assign_part(subnet, name, whole, part)
            else:
                _assign(subnet, name, counterpart)
    left = [name for name, tensor in [*subnet.named_parameters(), *subnet.named_buffers()] if tensor.is_meta]
    if left and not next(full.parameters()).is_meta:
        raise DDNNError(f"{', '.join(left)} of the sub-net belong to no step that the full net has too")


def share_modules(subnet: nn.Module, owner: nn.Module, paths: Mapping[str, str]) -> None:
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


@torch.no_grad()
def detach_parts(model: nn.Module) -> nn.Module:
    """Give a copy of a sub-net its own parameters where it has parts of the full net's: a stock model is left.

    torch's `remove_parametrizations` would also take the tensor out of the class, which a deep copy shares with the
    module that it was copied from.

    Args:
        model: a deep copy, or a module whose class no other has; it is changed, and returned.
    """
    for module in list(model.modules()):
        chains = getattr(module, "parametrizations", None)
        if isinstance(chains, nn.ModuleDict) and all(
            isinstance(chain, parametrize.ParametrizationList) and isinstance(chain[0], Part)
            for chain in chains.values()
        ):
            own = {
                name: nn.Parameter(getattr(module, name).clone(), chain.get_parameter("original").requires_grad)
                for name, chain in chains.items()
            }
            del module._modules["parametrizations"]
            module.__class__ = type(module).__bases__[0]
            module._parameters = {**own, **module._parameters}
    return model


def _copy_modes(inner: nn.Module | Tensor, outer: nn.Module | Tensor) -> None:
    if isinstance(inner, nn.Module) and isinstance(outer, nn.Module):
        modes = {name: module.training for name, module in outer.named_modules()}
        for name, module in inner.named_modules():
            module.training = modes.get(name, outer.training)


def _assign_part(model: nn.Module, name: str, whole: nn.Parameter, slices: Slices) -> None:
    parent, _, leaf = name.rpartition(".")
    module = model.get_submodule(parent)
    parametrize.register_parametrization(module, leaf, Part(slices), unsafe=True)
    chains = module.parametrizations
    assert isinstance(chains, nn.ModuleDict)
    chains[leaf].register_parameter("original", whole)


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
