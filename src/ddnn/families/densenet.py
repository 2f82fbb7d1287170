"""DenseNet-121 in 169 in 201, and the DenseNets-BC for 32x32 images (Huang et al., arXiv 1608.06993).

Every layer's output is an input of all later layers of its block, so a block with fewer layers gives fewer channels to
what follows. A sub-net's tensors there are the full net's at the channels that the sub-net has: those that come into
the block, then those of the layers that it keeps. `slices` says which they are.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.densenet import DenseNet

from ddnn.errors import DDNNError
from ddnn.families.family import Depth, Family, Slices, Step


@dataclass(frozen=True)
class DenseNetOptions:
    """Options of torchvision's DenseNets.

    Args:
        stem: `imagenet` is the stock stem, 7x7 with stride 2 and pooling; `small`, for images of about 32 pixels, is
            3x3 with stride 1 and no pooling.
        growth: channels that a layer adds.
        dropout: probability after each layer.
    """

    stem: Literal["imagenet", "small"] = "imagenet"
    growth: int = 32
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.stem not in ("imagenet", "small"):
            raise DDNNError(f"stem must be imagenet or small, not {self.stem!r}")
        if not isinstance(self.growth, int) or self.growth < 1:
            raise DDNNError(f"growth must be a whole number of at least 1, not {self.growth!r}")
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise DDNNError(f"dropout must be in [0, 1), not {self.dropout}")


@dataclass(frozen=True)
class CifarDenseNetOptions(DenseNetOptions):
    """Options of the DenseNets-BC for small images; see `DenseNetOptions`."""

    stem: Literal["imagenet", "small"] = "small"
    growth: int = 12


@dataclass(frozen=True)
class DenseLayer:
    """One layer as a part of a step: the features so far and its own; the first layer of a block opens the list."""

    path: str

    def __call__(self, model: nn.Module, value: Tensor | list[Tensor]) -> list[Tensor]:
        """The list of features with one more."""
        features = [value] if isinstance(value, Tensor) else value
        return [*features, model.get_submodule(self.path)(features)]


def concatenate(_: nn.Module, value: list[Tensor]) -> Tensor:
    """The output of a dense block: all its features, (batch, channels, height, width)."""
    return torch.cat(value, dim=1)


def pool(_: nn.Module, value: Tensor) -> Tensor:
    """What torchvision does between the last norm and the classifier."""
    return functional.adaptive_avg_pool2d(functional.relu(value, inplace=True), (1, 1)).flatten(1)


class TorchvisionDenseNet(Family):
    """DenseNets as `torchvision.models.DenseNet`.

    The feature of a stage is the output of its dense block, whose channels are more in a deeper net; the attention
    maps sum over them.
    """

    def __init__(self, name: str, members: Mapping[str, Depth], options: type, side: int, classes: int) -> None:
        self.name = name
        self.members = members
        self.options = options
        self.default_input: tuple[int, int, int] = (3, side, side)
        self.default_classes = classes

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: DenseNetOptions) -> nn.Module:
        """A `torchvision.models.DenseNet`; see `Family.build`."""
        model = DenseNet(
            options.growth,
            depth,  # pyright: ignore[reportArgumentType]  # three stages work as well as four
            num_init_features=2 * options.growth,
            drop_rate=options.dropout,
            num_classes=num_classes,
        )
        if options.stem == "small":
            model.features.conv0 = _stem(in_channels, 2 * options.growth, kernel_size=3, stride=1)
            model.features.pool0 = nn.Identity()
        elif in_channels != 3:
            model.features.conv0 = _stem(in_channels, 2 * options.growth, kernel_size=7, stride=2)
        return model

    def steps(self, depth: Depth) -> list[Step]:
        """Stem, each dense layer, the end of each block, each transition, head; see `Family.steps`."""
        steps = [Step("stem", tuple(f"features.{name}" for name in ("conv0", "norm0", "relu0", "pool0")))]
        for stage, layers in enumerate(depth, start=1):
            for layer in range(1, layers + 1):
                path = f"features.denseblock{stage}.denselayer{layer}"
                steps.append(Step(path, (DenseLayer(path),), owns=(path,)))
            steps.append(Step(f"denseblock{stage}.end", (concatenate,), ends_stage=True))
            if stage < len(depth):
                steps.append(Step(f"transition{stage}", (f"features.transition{stage}",)))
        return [*steps, Step("head", ("features.norm5", pool, "classifier"))]

    def stock_layout(self, state: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """Torchvision's published weights say norm.1, relu.1 and conv.1 for what its model calls norm1 and so on."""
        return {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", name): state[name] for name in state}

    def slices(self, inner: Depth, outer: Depth, options: DenseNetOptions) -> dict[str, Slices]:
        """Which channels of the full net's tensors a sub-net has; see `Family.slices`."""
        found: dict[str, Slices] = {}
        own, full = 2 * options.growth, 2 * options.growth  # channels that come into the block
        for stage, (layers, full_layers) in enumerate(zip(inner, outer, strict=True), start=1):
            if own != full:
                for layer in range(layers):
                    path = f"features.denseblock{stage}.denselayer{layer + 1}"
                    taken = _taken(own, full, layer * options.growth)
                    found |= _norm(f"{path}.norm1", taken) | {f"{path}.conv1.weight": (None, taken)}
            taken = _taken(own, full, layers * options.growth)
            differs = (own, layers) != (full, full_layers)
            own, full = (own + layers * options.growth) // 2, (full + full_layers * options.growth) // 2
            if differs:
                found |= _end(stage, taken, own, last=stage == len(inner))
        return found


Ranges = tuple[tuple[int, int], ...]


def _taken(own: int, full: int, added: int) -> Ranges:
    """The first `own` of the full net's incoming channels, then `added` of those that its layers add."""
    return ((0, own + added),) if own == full else ((0, own), (full, full + added))


def _norm(path: str, taken: Ranges) -> dict[str, Slices]:
    return {f"{path}.{name}": (taken,) for name in ("weight", "bias", "running_mean", "running_var")}


def _end(stage: int, taken: Ranges, out: int, last: bool) -> dict[str, Slices]:
    """What comes after a block: the transition to `out` channels, or the last norm and the classifier."""
    if last:
        return _norm("features.norm5", taken) | {"classifier.weight": (None, taken)}
    path = f"features.transition{stage}"
    return _norm(f"{path}.norm", taken) | {f"{path}.conv.weight": (((0, out),), taken)}


def _stem(in_channels: int, out_channels: int, kernel_size: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight)
    return conv


FAMILIES: tuple[Family, ...] = (
    TorchvisionDenseNet(
        "densenet",
        {"densenet121": (6, 12, 24, 16), "densenet169": (6, 12, 32, 32), "densenet201": (6, 12, 48, 32)},
        DenseNetOptions,
        side=224,
        classes=1000,
    ),
    TorchvisionDenseNet(
        "cifar_densenet",
        {f"densenet{layers}_bc": ((layers - 4) // 6,) * 3 for layers in (40, 100, 190, 250)},
        CifarDenseNetOptions,
        side=32,
        classes=10,
    ),
)
