"""Wide ResNets for 32x32 images: WRN-16 in 22 in 28 in 40, of any width (Zagoruyko and Komodakis, arXiv 1605.07146).

torchvision has no such model, so the stock model is ours: three stages of pre-activation blocks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddnn.errors import DDNNError
from ddnn.families.family import Depth, Family, Step, flatten
from ddnn.families.resnet import block_steps


@dataclass(frozen=True)
class WideResNetOptions:
    """Options of the CIFAR wide ResNets.

    Args:
        width: k, the factor on the 16, 32 and 64 channels of the stages.
        dropout: probability between the convolutions of a block.
    """

    width: int = 4
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.width, int) or self.width < 1:
            raise DDNNError(f"width must be a whole number of at least 1, not {self.width!r}")
        if not 0 <= self.dropout < 1:
            raise DDNNError(f"dropout must be in [0, 1), not {self.dropout}")


class PreActivationBlock(nn.Module):
    """Norm, activation, convolution, twice, around a shortcut; where the shape changes, the shortcut is a projection.

    Args:
        in_channels: channels that come in.
        out_channels: channels that go out.
        stride: of the first convolution.
        dropout: probability between the convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, dropout: float) -> None:
        super().__init__()
        self.bn1: nn.BatchNorm2d = nn.BatchNorm2d(in_channels)
        self.conv1: nn.Conv2d = nn.Conv2d(in_channels, out_channels, 3, stride, padding=1, bias=False)
        self.bn2: nn.BatchNorm2d = nn.BatchNorm2d(out_channels)
        self.dropout: nn.Dropout = nn.Dropout(dropout)
        self.conv2: nn.Conv2d = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.shortcut: nn.Conv2d | None = None
        if in_channels != out_channels or stride != 1:
            self.shortcut = nn.Conv2d(in_channels, out_channels, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, h, w) to (batch, out_channels, ceil(h / stride), ceil(w / stride))."""
        active = functional.relu(self.bn1(x))
        inner = self.dropout(functional.relu(self.bn2(self.conv1(active))))
        return self.conv2(inner) + (x if self.shortcut is None else self.shortcut(active))


class CifarWideResNet(nn.Module):
    """A wide ResNet of three stages for small images.

    Args:
        depth: blocks per stage.
        num_classes: outputs.
        in_channels: channels of the images.
        options: width and dropout.
    """

    def __init__(self, depth: Depth, num_classes: int, in_channels: int, options: WideResNetOptions) -> None:
        super().__init__()
        channels = [16, *(16 * options.width * factor for factor in (1, 2, 4))]
        self.conv1: nn.Conv2d = nn.Conv2d(in_channels, channels[0], 3, padding=1, bias=False)
        self.layer1: nn.Sequential = _stage(depth[0], channels[0], channels[1], 1, options.dropout)
        self.layer2: nn.Sequential = _stage(depth[1], channels[1], channels[2], 2, options.dropout)
        self.layer3: nn.Sequential = _stage(depth[2], channels[2], channels[3], 2, options.dropout)
        self.bn1: nn.BatchNorm2d = nn.BatchNorm2d(channels[-1])
        self.relu: nn.ReLU = nn.ReLU()
        self.avgpool: nn.AdaptiveAvgPool2d = nn.AdaptiveAvgPool2d(1)
        self.fc: nn.Linear = nn.Linear(channels[-1], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(batch, in_channels, height, width) to (batch, num_classes)."""
        x = self.layer3(self.layer2(self.layer1(self.conv1(x))))
        return self.fc(torch.flatten(self.avgpool(self.relu(self.bn1(x))), 1))


def _stage(blocks: int, in_channels: int, out_channels: int, stride: int, dropout: float) -> nn.Sequential:
    first = PreActivationBlock(in_channels, out_channels, stride, dropout)
    return nn.Sequential(
        first, *(PreActivationBlock(out_channels, out_channels, 1, dropout) for _ in range(blocks - 1))
    )


class CifarWideResNetFamily(Family):
    """The CIFAR wide ResNets; a net of depth 6n + 4 has n blocks in each stage."""

    name = "cifar_wide_resnet"
    members: Mapping[str, Depth] = {f"wrn{6 * n + 4}": (n, n, n) for n in (2, 3, 4, 6)}
    options: type = WideResNetOptions
    default_input: tuple[int, int, int] = (3, 32, 32)
    default_classes = 10

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: WideResNetOptions) -> CifarWideResNet:
        """A `CifarWideResNet`; see `Family.build`."""
        return CifarWideResNet(depth, num_classes, in_channels, options)

    def steps(self, depth: Depth) -> list[Step]:
        """Stem, each block, head; see `Family.steps`."""
        head = Step("head", ("bn1", "relu", "avgpool", flatten, "fc"))
        return [Step("stem", ("conv1",)), *block_steps(depth), head]

    def branch_ends(self, model: nn.Module) -> Iterator[Tensor]:
        """The last convolution of each block, which no norm comes after; see `Family.branch_ends`."""
        return (block.conv2.weight for block in model.modules() if isinstance(block, PreActivationBlock))


FAMILIES: tuple[Family, ...] = (CifarWideResNetFamily(),)
