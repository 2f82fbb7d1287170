"""VGG-11 in 13 in 16 in 19, plain and with batch norm: torchvision's for large images, and one for 32x32.

Simonyan and Zisserman, arXiv 1409.1556. A block is a convolution with its activation. Since every block shifts the
numbers of those after it, the same block has another path in another depth; the steps' keys say which is which.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torchvision.models.vgg import VGG, make_layers

from ddnn.errors import DDNNError
from ddnn.families.family import Depth, Family, NoOptions, Part, Step, flatten

CHANNELS = (64, 128, 256, 512, 512)
DEPTHS: dict[int, Depth] = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}


@dataclass(frozen=True)
class VGGOptions:
    """Options of torchvision's VGGs.

    Args:
        dropout: probability in the classifier.
    """

    dropout: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.dropout, int | float) or not 0 <= self.dropout < 1:
            raise DDNNError(f"dropout must be in [0, 1), not {self.dropout}")


class TorchvisionVGG(Family):
    """VGGs as `torchvision.models.VGG`."""

    options: type = VGGOptions

    def __init__(self, name: str, members: Mapping[str, Depth], batch_norm: bool) -> None:
        self.name = name
        self.members = members
        self._batch_norm = batch_norm

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: VGGOptions) -> nn.Module:
        """A `torchvision.models.VGG`; see `Family.build`."""
        layers = convolutions(depth, in_channels, self._batch_norm)
        return VGG(layers, num_classes=num_classes, dropout=options.dropout)

    def steps(self, depth: Depth) -> list[Step]:
        """Each convolution with its activation, each pooling, head; see `Family.steps`."""
        return [*convolution_steps(depth, self._batch_norm), Step("head", ("avgpool", flatten, "classifier"))]


class CifarVGG(nn.Module):
    """A VGG with batch norm for 32x32 images: the convolutions of the original, one linear layer.

    Args:
        depth: convolutions per stage.
        num_classes: outputs.
        in_channels: channels of the images.
    """

    def __init__(self, depth: Depth, num_classes: int = 10, in_channels: int = 3) -> None:
        super().__init__()
        self.features: nn.Sequential = convolutions(depth, in_channels, batch_norm=True)
        self.avgpool: nn.AdaptiveAvgPool2d = nn.AdaptiveAvgPool2d(1)
        self.classifier: nn.Linear = nn.Linear(CHANNELS[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                assert module.bias is not None
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width), at least 32 pixels a side, to (batch, num_classes)."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class CifarVGGFamily(Family):
    """The VGGs with batch norm for small images."""

    name = "cifar_vgg"
    members: Mapping[str, Depth] = {f"cifar_vgg{layers}_bn": depth for layers, depth in DEPTHS.items()}
    default_input: tuple[int, int, int] = (3, 32, 32)
    default_classes = 10

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: NoOptions) -> CifarVGG:
        """A `CifarVGG`; see `Family.build`."""
        return CifarVGG(depth, num_classes, in_channels)

    def steps(self, depth: Depth) -> list[Step]:
        """Each convolution with its activation, each pooling, head; see `Family.steps`."""
        return [*convolution_steps(depth, batch_norm=True), Step("head", ("avgpool", flatten, "classifier"))]


def convolutions(depth: Depth, in_channels: int, batch_norm: bool) -> nn.Sequential:
    """The convolutional part of torchvision's VGG, for any depth."""
    layout: list[str | int] = []
    for channels, blocks in zip(CHANNELS, depth, strict=True):
        layout += [*[channels] * blocks, "M"]
    layers = make_layers(layout, batch_norm)
    if in_channels != 3:
        layers[0] = nn.Conv2d(in_channels, CHANNELS[0], kernel_size=3, padding=1)
    return layers


def convolution_steps(depth: Depth, batch_norm: bool) -> list[Step]:
    """The steps of `convolutions`; the feature of a stage is what goes into its pooling."""
    steps: list[Step] = []
    position = 0
    for stage, blocks in enumerate(depth):
        for block in range(blocks):
            parts: list[Part] = [f"features.{position + offset}" for offset in range(3 if batch_norm else 2)]
            steps.append(Step(f"stage{stage}.{block}", tuple(parts), ends_stage=block == blocks - 1))
            position += len(parts)
        steps.append(Step(f"stage{stage}.pool", (f"features.{position}",)))
        position += 1
    return steps


FAMILIES: tuple[Family, ...] = (
    TorchvisionVGG("vgg", {f"vgg{layers}": depth for layers, depth in DEPTHS.items()}, batch_norm=False),
    TorchvisionVGG("vgg_bn", {f"vgg{layers}_bn": depth for layers, depth in DEPTHS.items()}, batch_norm=True),
    CifarVGGFamily(),
)
