"""The ResNets for 32x32 images: 8 in 14 in 20 in 32 in 44 in 56 in 110 (He et al., arXiv 1512.03385, section 4.2).

torchvision has no such model, so the stock model is ours: three stages of torchvision's own basic blocks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models.resnet import BasicBlock

from ddnn.errors import DDNNError
from ddnn.families.family import Depth, Family, Step, flatten
from ddnn.families.resnet import block_steps, last_norms
from ddnn_runtime.untrusted import shown


@dataclass(frozen=True)
class CifarResNetOptions:
    """Options of the CIFAR ResNets.

    Args:
        shortcut: where the shape changes, `A` subsamples and pads with zero channels (no parameters), `B` projects
            with a 1x1 convolution and a norm; A and B are the names of the ResNet paper.
        width: factor on the 16, 32 and 64 channels of the stages.
    """

    shortcut: Literal["A", "B"] = "A"
    width: int = 1

    def __post_init__(self) -> None:
        if self.shortcut not in ("A", "B"):
            raise DDNNError(f"shortcut must be A or B, not {self.shortcut!r}")
        if not isinstance(self.width, int) or not 1 <= self.width <= 1000:
            raise DDNNError(f"width must be a whole number from 1 to 1000, not {shown(self.width)}")


class PadShortcut(nn.Module):
    """Option A's shortcut: every second pixel, and zeros for the new channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, h, w) to (batch, out_channels, ceil(h / 2), ceil(w / 2))."""
        extra = self.out_channels - self.in_channels
        return functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, extra // 2, extra - extra // 2))

    def extra_repr(self) -> str:
        """The channels, for printing."""
        return f"{self.in_channels}, {self.out_channels}"


class CifarResNet(nn.Module):
    """A ResNet of three stages for small images, with the attribute names of torchvision's ResNet.

    Args:
        depth: blocks per stage.
        num_classes: outputs.
        in_channels: channels of the images.
        shortcut: option A or B.
        width: factor on the channels.
    """

    def __init__(
        self,
        depth: Depth,
        num_classes: int = 10,
        in_channels: int = 3,
        shortcut: Literal["A", "B"] = "A",
        width: int = 1,
    ) -> None:
        super().__init__()
        channels = [16 * width, 32 * width, 64 * width]
        self.conv1: nn.Conv2d = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        self.bn1: nn.BatchNorm2d = nn.BatchNorm2d(channels[0])
        self.relu: nn.ReLU = nn.ReLU(inplace=True)
        self.layer1: nn.Sequential = _stage(depth[0], channels[0], channels[0], shortcut)
        self.layer2: nn.Sequential = _stage(depth[1], channels[0], channels[1], shortcut)
        self.layer3: nn.Sequential = _stage(depth[2], channels[1], channels[2], shortcut)
        self.avgpool: nn.AdaptiveAvgPool2d = nn.AdaptiveAvgPool2d(1)
        self.fc: nn.Linear = nn.Linear(channels[2], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to (batch, num_classes)."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def _stage(blocks: int, in_channels: int, out_channels: int, shortcut: str) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels)
    if in_channels != out_channels:
        downsample = _shortcut(in_channels, out_channels, shortcut)
        first = BasicBlock(in_channels, out_channels, stride=2, downsample=downsample)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels) for _ in range(blocks - 1)))


def _shortcut(in_channels: int, out_channels: int, kind: str) -> nn.Module:
    if kind == "A":
        return PadShortcut(in_channels, out_channels)
    projection = nn.Conv2d(in_channels, out_channels, 1, stride=2, bias=False)
    return nn.Sequential(projection, nn.BatchNorm2d(out_channels))


class CifarResNetFamily(Family):
    """The CIFAR ResNets; a net of depth 6n + 2 has n blocks in each stage."""

    name = "cifar_resnet"
    members: Mapping[str, Depth] = {f"resnet{6 * n + 2}": (n, n, n) for n in (1, 2, 3, 5, 7, 9, 18)}
    options: type = CifarResNetOptions
    default_input: tuple[int, int, int] = (3, 32, 32)
    default_classes = 10

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: CifarResNetOptions) -> CifarResNet:
        """A `CifarResNet`; see `Family.build`."""
        return CifarResNet(depth, num_classes, in_channels, options.shortcut, options.width)

    def steps(self, depth: Depth) -> list[Step]:
        """Stem, each block, head; see `Family.steps`."""
        return [Step("stem", ("conv1", "bn1", "relu")), *block_steps(depth), Step("head", ("avgpool", flatten, "fc"))]

    def branch_ends(self, model: nn.Module) -> Iterator[Tensor]:
        """The last norm of each block; see `Family.branch_ends`."""
        return last_norms(model)


FAMILIES: tuple[Family, ...] = (CifarResNetFamily(),)
