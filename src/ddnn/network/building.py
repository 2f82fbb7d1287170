"""The ways to make a network: build it by name, or from one's own model. `ddnn.network.loading` opens those that are
stored."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError, first_line, near
from ddnn.families import Depth, Step, family_of
from ddnn.families.modes import in_mode
from ddnn.families.own_model import OwnModel
from ddnn.families.timm_models import PREFIX, TimmModel
from ddnn.formats.arguments import flag_of, mapping_of, name_of, names_of, path_of
from ddnn.network.depth_dynamic import DepthDynamicNetwork
from ddnn.network.subnets import PrivateNorms, Subnets, check_name, named_depths, resolve_subnets, with_private_norms
from ddnn.network.weights import load_private, load_weights, read_weights
from ddnn_runtime.untrusted import shown

MOST_CHANNELS = 10_000_000
"""Far more classes or channels than anybody has."""
Weights = str | Path | Mapping[str, str | Path]


def build(
    full: str,
    subnets: Subnets = (),
    *,
    num_classes: int = 1000,
    in_channels: int = 3,
    weights: Weights | None = None,
    private_norms: PrivateNorms = False,
    zero_init: bool = False,
    **options: Any,
) -> DepthDynamicNetwork:
    """Build a network with fresh weights, or with the full net's from a file.

    Args:
        full: the full net, such as "resnet34"; `ddnn families` lists them. "timm/…" is a model of timm's.
        subnets: names of smaller members of the same family, or a depth for each name of your own.
        num_classes: outputs.
        in_channels: channels of the images.
        weights: what the full net starts from: a state dict in a .safetensors or .pt file, the name of torchvision's
            weights, such as "IMAGENET1K_V1", or "timm/NAME"; or such a source for each of several nets by name, of
            which a sub-net's gives what is private to it. A head for other classes is left fresh, with a warning.
        private_norms: sub-nets whose normalisation layers, past what they have in common with the full net, get
            weights and biases of their own, which start as copies (see `ddnn.network.private_norms`): their names, True
            for all, or "shallowest".
        zero_init: let the last norm of every residual branch start at zero (Goyal et al., arXiv 1706.02677, section
            5.1; torchvision's `zero_init_residual`), or what ends a branch where no norm does. A block that keeps its
            shape then passes on what it gets, so nets that differ in such blocks alone start as one function.
        options: the family's own, such as `stem="small"` for torchvision's ResNets; for timm's models what
            `timm.create_model` takes.

    Raises:
        DDNNError: for unknown names or options, depths that do not nest, or weights that do not fit; nothing is
            built then.

    Example:
        >>> import ddnn
        >>> net = ddnn.build("resnet34", {"tiny": (1, 1, 1, 1), "resnet18": (2, 2, 2, 2)}, num_classes=100)
        >>> net.names
        ('tiny', 'resnet18', 'resnet34')
    """
    name_of(full, "full")
    _check_counts(num_classes=num_classes, in_channels=in_channels)
    wanted = named_depths(subnets)
    if flag_of(zero_init, "zero_init") and weights is not None:
        raise DDNNError("zero_init and weights exclude each other: it would replace what is loaded; leave one out")
    if full.startswith(PREFIX):
        family = TimmModel(full, num_classes, in_channels, options)
        full, wanted = family.full, family.named(wanted)
    else:
        family = family_of(full)
    depth = family.members[full]
    depths = resolve_subnets(family, full, {full: depth}, wanted)
    private = with_private_norms(private_norms, depths)
    chosen = family.parse_options(options)
    sources = _sources(weights, full, depths)
    states = {name: family.stock_layout(read_weights(source, name)) for name, source in sources.items()}
    model = family.build(depth, num_classes, in_channels, chosen)
    if zero_init:
        family.zero_branches(model)
    if full in states:
        head = (family.steps(depth) or [Step("head", ())])[-1].paths
        load_weights(model, states.pop(full), sources[full], head)
    network = DepthDynamicNetwork(
        family, (full, depth), model, num_classes=num_classes, in_channels=in_channels, options=chosen
    )
    tie_subnets(network, depths, private)
    for name, state in states.items():
        load_private(network[name], model, state, sources[name])
    return network


def from_model(
    model: nn.Module,
    stages: Iterable[str],
    subnets: Mapping[str, Depth],
    *,
    name: str = "full",
    example: Tensor | None = None,
    private_norms: PrivateNorms = False,
) -> DepthDynamicNetwork:
    """Make a network out of your own model, whose weights it takes over.

    A sub-net is the same model with the last blocks of each stage left out.

    Args:
        model: any image classifier with a fixed number of outputs. It becomes the full net.
        stages: paths of its stages, each an `nn.Sequential` or `nn.ModuleList` of blocks, such as "layer1".
        subnets: blocks to keep in each stage, for each sub-net.
        name: what to call the full net.
        example: a batch of images to try the blocks with; by default noise of 224x224.
        private_norms: sub-nets with normalisation weights of their own; see `ddnn.build`.

    Raises:
        DDNNError: if a path is no stage, a depth does not nest, a block that changes the shape would be left out, or a
            sub-net does not run.

    Example:
        >>> import ddnn, torch, torchvision
        >>> model = torchvision.models.resnet18(num_classes=5)
        >>> net = ddnn.from_model(model, ["layer1", "layer2", "layer3", "layer4"], {"half": (1, 1, 1, 1)})
        >>> net(torch.zeros(1, 3, 64, 64), "half").shape
        torch.Size([1, 5])
    """
    if not isinstance(model, nn.Module):
        raise DDNNError(f"model must be an nn.Module, not {shown(model)}")
    if not isinstance(example, Tensor | None):
        raise DDNNError(f"example must be a batch of images, a tensor, not {shown(example)}")
    check_name(name)
    stages = tuple(names_of(stages, "stages"))
    family = OwnModel(model, stages, name)
    wanted: dict[str, Depth | None] = dict(mapping_of(subnets, "subnets", "{'half': (2, 2)}"))
    depths = resolve_subnets(family, name, {name: family.full_depth}, wanted)
    private = with_private_norms(private_norms, depths)
    trial = family.try_blocks(example)
    for subnet, depth in depths.items():
        family.check_blocks(subnet, depth, trial)
    network = DepthDynamicNetwork(
        family,
        (name, family.full_depth),
        model,
        num_classes=trial.logits.shape[1],
        in_channels=trial.images.shape[1],
        options=family.parse_options({"stages": stages, "out_of_place": family.out_of_place}),
    )
    tie_subnets(network, depths, private)
    _try_subnets(network, trial.images)
    return network


@torch.no_grad()
def _try_subnets(network: DepthDynamicNetwork, images: Tensor) -> None:
    """Refuse sub-nets that do not run, such as those of a model that asks for a block by its number."""
    with in_mode(network, training=False):
        for name in network.names:
            try:
                network(images, name)
            except (RuntimeError, IndexError, AttributeError, KeyError, TypeError, ValueError) as error:
                raise DDNNError(
                    f"{name} with depth {network.depths[name]} does not run: {first_line(error)}; the model's forward "
                    "pass must do without the blocks that a sub-net leaves out"
                ) from None


def _check_counts(**counts: int) -> None:
    for what, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count <= MOST_CHANNELS:
            raise DDNNError(f"{what} must be a whole number from 1 to {MOST_CHANNELS}, not {shown(count)}")


def _sources(weights: Weights | None, full: str, depths: Mapping[str, Depth]) -> dict[str, str]:
    """Where the weights of each net come from, for those that have any."""
    sources = weights if isinstance(weights, Mapping) else {full: weights} if weights is not None else {}
    for name in sources:
        if name != full and name not in depths:
            raise DDNNError(f"weights are given for {name!r}, which is no net here; {near(str(name), [full, *depths])}")
        path_of(sources[name], f"the weights of {name}")
    return {name: str(source) for name, source in sources.items()}


def tie_subnets(
    network: DepthDynamicNetwork, subnets: Mapping[str, Depth], private_norms: Collection[str] = ()
) -> DepthDynamicNetwork:
    """Add all of `subnets`, deep to shallow, so that each finds the longest prefix to share.

    Args:
        network: to which they are added.
        subnets: the depth of each, as `resolve_subnets` gives them.
        private_norms: those that get normalisation weights of their own.
    """
    for name in sorted(subnets, key=lambda name: sum(subnets[name]), reverse=True):
        network.tie_subnet(name, subnets[name], private_norms=name in private_norms)
    return network
