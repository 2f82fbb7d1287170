"""The ways to obtain a network: build it by name, make it from one's own model, or load it from a directory."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddnn import storage
from ddnn.data_spec import DataSpec
from ddnn.errors import DDNNError, ModelFileError, near
from ddnn.families import REGISTRY, Depth, Family, family_of, resolve_depths
from ddnn.families.own_model import OwnModel
from ddnn.network import DepthDynamicNetwork, tie_subnets
from ddnn.weights import load_weights

Subnets = Iterable[str] | Mapping[str, Depth]


def build(
    full: str,
    subnets: Subnets = (),
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    weights: str | Path | None = None,
    **options: Any,
) -> DepthDynamicNetwork:
    """Build a network with fresh weights, or with the full net's from a file.

    Args:
        full: the full net, such as "resnet34"; `ddnn families` lists them.
        subnets: names of smaller members of the same family, or a depth for each name of your own.
        num_classes: outputs.
        in_channels: channels of the images.
        weights: a state dict of the full net in a .safetensors or .pt file.
        options: the family's own, such as `stem="small"` for torchvision's ResNets.

    Raises:
        DDNNError: for unknown names or options, depths that do not nest, or weights that do not fit; nothing is
            built then.

    Example:
        >>> import ddnn
        >>> net = ddnn.build("resnet34", {"tiny": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2)}, num_classes=100)
        >>> net.names
        ('tiny', 'resnet18', 'resnet34')
    """
    family = family_of(full)
    depth = family.members[full]
    depths = resolve_depths(family, depth, _with_depths(subnets))
    _check_distinct(full, depths)
    chosen = family.parse_options(options)
    for what, count in (("num_classes", num_classes), ("in_channels", in_channels)):
        if count < 1:
            raise DDNNError(f"{what} must be at least 1, not {count}")
    model = family.build(depth, num_classes, in_channels, chosen)
    if weights is not None:
        load_weights(model, Path(weights))
    network = DepthDynamicNetwork(
        family, (full, depth), model, num_classes=num_classes, in_channels=in_channels, options=chosen
    )
    return tie_subnets(network, depths)


def from_model(
    model: nn.Module,
    stages: Iterable[str],
    subnets: Mapping[str, Depth],
    *,
    name: str = "full",
    example: Tensor | None = None,
) -> DepthDynamicNetwork:
    """Make a network out of your own model, whose weights it takes over.

    A sub-net is the same model with the last blocks of each stage left out.

    Args:
        model: any image classifier with a fixed number of outputs. It becomes the full net.
        stages: paths of its stages, each an `nn.Sequential` or `nn.ModuleList` of blocks, such as "layer1".
        subnets: blocks to keep in each stage, for each sub-net.
        name: what to call the full net.
        example: a batch of images to try the blocks with; by default zeros of 224x224.

    Raises:
        DDNNError: if a path is no stage, a depth does not nest, or a block that changes the shape would be left out.

    Example:
        >>> import ddnn, torch, torchvision
        >>> model = torchvision.models.resnet18(num_classes=5)
        >>> net = ddnn.from_model(model, ["layer1", "layer2", "layer3", "layer4"], {"half": (1, 1, 1, 1)})
        >>> net(torch.zeros(1, 3, 64, 64), "half").shape
        torch.Size([1, 5])
    """
    stages = tuple(stages)
    family = OwnModel(model, stages, name)
    depths = resolve_depths(family, family.full_depth, {subnet: tuple(depth) for subnet, depth in subnets.items()})
    _check_distinct(name, depths)
    trial = family.try_blocks(example)
    for subnet, depth in depths.items():
        family.check_blocks(subnet, depth, trial)
    network = DepthDynamicNetwork(
        family,
        (name, family.full_depth),
        model,
        num_classes=trial.num_classes,
        in_channels=trial.in_channels,
        options=family.parse_options({"stages": stages}),
    )
    return tie_subnets(network, depths)


def load(path: str | Path, model: nn.Module | None = None) -> DepthDynamicNetwork:
    """Read a network that `net.save` or `ddnn train` wrote.

    Args:
        path: the directory, or a run directory that holds it as `network/`.
        model: for a network made by `from_model`: a model of the same class, built the same way; its weights are
            replaced.

    Raises:
        ModelFileError: if a file is missing, damaged, edited, or of another network.
    """
    directory = network_directory(Path(path))
    tensors, config = storage.read_network(directory)
    try:
        network = _rebuild(config, model)
        network.data_spec = None if config["data"] is None else DataSpec.from_json(config["data"])
    except (KeyError, TypeError, IndexError) as error:
        raise ModelFileError(f"{directory / storage.CONFIG} is damaged: {error!r}") from None
    _fill(network, tensors, directory)
    return network


def network_directory(path: Path) -> Path:
    """The saved network at `path`, which may be a run directory."""
    inner = path / "network"
    return inner if not (path / storage.CONFIG).exists() and inner.is_dir() else path


def _with_depths(subnets: Subnets) -> dict[str, Depth | None]:
    if isinstance(subnets, str):
        raise DDNNError(f"subnets must be a list of names or a depth for each name; write [{subnets!r}]")
    if isinstance(subnets, Mapping):
        return {name: tuple(depth) for name, depth in subnets.items()}
    names = list(subnets)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DDNNError(f"{', '.join(twice)} is named twice among the sub-nets")
    return dict.fromkeys(names)


def _check_distinct(full: str, depths: Mapping[str, Depth]) -> None:
    if full in depths:
        raise DDNNError(f"{full} is the full net; a sub-net needs another name")
    for name, depth in depths.items():
        same = [other for other in depths if depths[other] == depth and other != name]
        if same:
            raise DDNNError(f"{name} and {same[0]} have the same depth {depth}; keep one of them")


def _rebuild(config: Mapping[str, Any], model: nn.Module | None) -> DepthDynamicNetwork:
    depths = {name: tuple(depth) for name, depth in config["depths"].items()}
    full = config["full"]
    family: Family
    if config["family"] == OwnModel.name:
        if model is None:
            raise ModelFileError(
                "this network was made by ddnn.from_model; give a model of the same class: "
                "ddnn.load(path, model=MyModel())"
            )
        family = OwnModel(model, tuple(config["options"]["stages"]), full)
    elif config["family"] in REGISTRY:
        family = REGISTRY[config["family"]]
    else:
        raise ModelFileError(f"unknown family {config['family']!r}; {near(config['family'], REGISTRY)}")
    options = family.parse_options(config["options"])
    num_classes, in_channels = int(config["num_classes"]), int(config["in_channels"])
    with torch.random.fork_rng(devices=[]):  # the weights are about to be replaced: leave the caller's seed alone
        built = model or family.build(depths[full], num_classes, in_channels, options)
    network = DepthDynamicNetwork(
        family, (full, depths.pop(full)), built, num_classes=num_classes, in_channels=in_channels, options=options
    )
    return tie_subnets(network, depths)


@torch.no_grad()
def _fill(network: DepthDynamicNetwork, tensors: Mapping[str, Tensor], directory: Path) -> None:
    targets = network.tensors()
    wrong = sorted(targets.keys() ^ tensors.keys())
    wrong += [name for name in targets.keys() & tensors.keys() if targets[name].shape != tensors[name].shape]
    if wrong:
        raise ModelFileError(
            f"{directory / storage.WEIGHTS} does not fit {storage.CONFIG}: "
            f"{len(wrong)} tensors differ, such as {wrong[0]}"
        )
    for name, target in targets.items():
        target.copy_(tensors[name])
