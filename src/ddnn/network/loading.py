"""Opening a network that is stored: its description is looked at before anything is built, and its weights before they
are taken."""

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError, ModelFileError, near
from ddnn.families import REGISTRY, Depth, Family
from ddnn.families.own_model import OwnModel, OwnModelOptions
from ddnn.families.timm_models import TimmModel, TimmOptions
from ddnn.formats.arguments import path_of
from ddnn.network import storage
from ddnn.network.building import tie_subnets
from ddnn.network.depth_dynamic import DepthDynamicNetwork
from ddnn.network.stored_config import StoredConfig, check_shapes
from ddnn.network.subnets import resolve_subnets, with_private_norms
from ddnn_runtime.schema import typed
from ddnn_runtime.untrusted import UnfitValueError, shown

_FLOATS = {torch.float16, torch.bfloat16, torch.float32, torch.float64}  # may be stored for each other


def load(path: str | Path, model: nn.Module | None = None) -> DepthDynamicNetwork:
    """Read a network that `net.save` or `ddnn train` wrote; it comes in evaluation mode.

    Args:
        path: the directory, or a run directory that holds it as `network/`.
        model: for a network made by `from_model`: a model of the same class, built the same way; its weights are
            replaced.

    Raises:
        ModelFileError: if a file is missing, damaged, edited, or of another network.
        DDNNError: if `path` is no path, or `model` no module.
    """
    if not isinstance(model, nn.Module | None):
        raise DDNNError(f"model must be an nn.Module, not {shown(model)}")
    directory = network_directory(path_of(path))
    tensors, config = storage.read_network(directory)
    try:
        stored = StoredConfig.of(config, tensors)
        network = _rebuild(stored, model, tensors, directory / storage.WEIGHTS)
        network.data_spec = stored.data
    except UnfitValueError as error:
        raise ModelFileError(f"{directory / storage.CONFIG} is damaged: {error}") from None
    except ModelFileError:
        raise
    except Exception as error:  # whatever values that fit nothing make a family's own code raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelFileError(f"{directory / storage.CONFIG} is damaged: {reason}") from None
    targets = network.tensors()
    check_shapes(targets, tensors, str(directory / storage.WEIGHTS), others=False)
    _refuse_spoilt(directory / storage.WEIGHTS, targets, tensors, fixed_integers=model is None)
    fill(network, tensors)
    return network.eval()


def _refuse_spoilt(
    path: Path, targets: Mapping[str, Tensor], tensors: Mapping[str, Tensor], *, fixed_integers: bool
) -> None:
    """Raise a ModelFileError for tensors of another kind of number, or without sense as numbers. What is no parameter
    may be infinite, as masks are; lists of whole numbers are places in tables, which follow from the architecture."""
    for name, target in targets.items():
        found = tensors[name]
        if found.dtype != target.dtype and not {found.dtype, target.dtype} <= _FLOATS:
            raise ModelFileError(f"{path} holds {found.dtype} for {name}, which is {target.dtype}")
        if fixed_integers and target.ndim and not target.is_floating_point() and not torch.equal(found, target):
            raise ModelFileError(f"{path} is spoilt: {name} holds other places in a table than the architecture has")
        spoilt = ~found.isfinite() if isinstance(target, nn.Parameter) else found.isnan()
        if spoilt.any():
            raise ModelFileError(
                f"{path} is spoilt: {name} holds numbers that are not finite; train again, or save from a checkpoint"
            )


def network_directory(path: Path) -> Path:
    """The saved network at `path`, which may be a run directory."""
    inner = path / "network"
    return inner if not (path / storage.CONFIG).exists() and inner.is_dir() else path


def _rebuild(
    stored: StoredConfig, model: nn.Module | None, tensors: Mapping[str, Tensor], weights: Path
) -> DepthDynamicNetwork:
    wanted: dict[str, Depth | None] = dict(stored.depths)
    full, depth = stored.full, stored.depths[stored.full]
    del wanted[full]
    family = _stored_family(stored, model)
    if isinstance(family, OwnModel) and family.members != {full: depth}:
        raise ModelFileError(f"{full} has {depth} blocks where it was saved, and the model here {family.members}")
    options = family.parse_options(stored.options)
    family.check(depth)
    depths = resolve_subnets(family, full, {full: depth}, wanted)
    private = with_private_norms(stored.private_norms, depths)
    if model is None:
        _check_sketch(family, depth, stored, tensors, weights)
    with torch.random.fork_rng(devices=[]):  # the weights are about to be replaced: leave the caller's seed alone
        built = model or family.build(depth, stored.num_classes, stored.in_channels, options)
    network = DepthDynamicNetwork(
        family,
        (full, depth),
        built,
        num_classes=stored.num_classes,
        in_channels=stored.in_channels,
        options=options,
    )
    return tie_subnets(network, depths, private)


def _check_sketch(
    family: Family, depth: Depth, stored: StoredConfig, tensors: Mapping[str, Tensor], weights: Path
) -> None:
    """Refuse weights of other shapes than the full net's, found out without memory for them."""
    try:
        with torch.device("meta"):
            sketch = family.build(depth, stored.num_classes, stored.in_channels, family.parse_options(stored.options))
    except DDNNError:
        if isinstance(family, TimmModel):  # some of timm's models need numbers to be built
            return
        raise
    check_shapes(sketch.state_dict(), tensors, str(weights), others=True)


def _stored_family(stored: StoredConfig, model: nn.Module | None) -> Family:
    if stored.family == OwnModel.name:
        if model is None:
            raise ModelFileError(
                "this network was made by ddnn.from_model; give a model of the same class: "
                "ddnn.load(path, model=MyModel())"
            )
        own = typed(stored.options, OwnModelOptions, "options")
        family = OwnModel(model, own.stages, stored.full)
        family.leave_inputs_alone(own.out_of_place)
        return family
    if stored.family == TimmModel.name:
        timm = typed(stored.options, TimmOptions, "options")
        return TimmModel(timm.model, stored.num_classes, stored.in_channels, timm.arguments)
    if stored.family in REGISTRY:
        return REGISTRY[stored.family]
    raise ModelFileError(f"unknown family {shown(stored.family)}; {near(stored.family, REGISTRY)}")


@torch.no_grad()
def fill(network: DepthDynamicNetwork, tensors: Mapping[str, Tensor]) -> None:
    """Give a network these values, under the names and of the shapes that `network.tensors()` has."""
    for name, target in network.tensors().items():
        target.copy_(tensors[name])
