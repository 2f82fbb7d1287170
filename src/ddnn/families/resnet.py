"""torchvision's ResNets: 18 in 34, 50 in 101 in 152, wide 50 in wide 101 (He et al., arXiv 1512.03385; Zagoruyko and
Komodakis, arXiv 1605.07146).

Basic-block and bottleneck nets do not nest in each other: their blocks have different shapes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

from ddnn.errors import DDNNError
from ddnn.families.family import Depth, Family, Step, flatten


@dataclass(frozen=True)
class ResNetOptions:
    """Options of torchvision's ResNets.

    Args:
        stem: `imagenet` is the stock stem, 7x7 with stride 2 and pooling; `small`, for images of about 32 pixels, is
            3x3 with stride 1 and no pooling.
    """

    stem: Literal["imagenet", "small"] = "imagenet"

    def __post_init__(self) -> None:
        if self.stem not in ("imagenet", "small"):
            raise DDNNError(f"stem must be imagenet or small, not {self.stem!r}")


class TorchvisionResNet(Family):
    """ResNets of one block type and width, as `torchvision.models.ResNet`."""

    options: type = ResNetOptions

    def __init__(self, name: str, members: Mapping[str, Depth], block: type[nn.Module], base_width: int = 64) -> None:
        self.name = name
        self.members = members
        self._block: Any = block  # BasicBlock or Bottleneck
        self._base_width = base_width

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: ResNetOptions) -> nn.Module:
        """A `torchvision.models.ResNet`; see `Family.build`."""
        model = ResNet(self._block, list(depth), num_classes=num_classes, width_per_group=self._base_width)
        if options.stem == "small":
            model.conv1 = _stem(in_channels, kernel_size=3, stride=1)
            model.maxpool = nn.Identity()  # pyright: ignore[reportAttributeAccessIssue]  # declared as MaxPool2d
        elif in_channels != 3:
            model.conv1 = _stem(in_channels, kernel_size=7, stride=2)
        return model

    def steps(self, depth: Depth) -> list[Step]:
        """Stem, each block, head; see `Family.steps`."""
        stem = Step("stem", ("conv1", "bn1", "relu", "maxpool"))
        return [stem, *block_steps(depth), Step("head", ("avgpool", flatten, "fc"))]

    def branch_ends(self, model: nn.Module) -> Iterator[Tensor]:
        """The last norm of each block, as torchvision's `zero_init_residual`; see `Family.branch_ends`."""
        return last_norms(model)


def last_norms(model: nn.Module) -> Iterator[Tensor]:
    """The weights of the last norm of each of torchvision's residual blocks; their biases are zero in fresh models."""
    for block in model.modules():
        if isinstance(block, BasicBlock | Bottleneck):
            yield block.get_parameter("bn3.weight" if isinstance(block, Bottleneck) else "bn2.weight")


def block_steps(depth: Depth) -> list[Step]:
    """The blocks of a net that names them as torchvision's ResNet does: `layer1.0`, `layer1.1` and so on."""
    return [
        Step(f"layer{stage}.{block}", (f"layer{stage}.{block}",), ends_stage=block == count - 1)
        for stage, count in enumerate(depth, start=1)
        for block in range(count)
    ]


def _stem(in_channels: int, kernel_size: int, stride: int) -> nn.Conv2d:
    conv = nn.Conv2d(in_channels, 64, kernel_size, stride, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


FAMILIES: tuple[Family, ...] = (
    TorchvisionResNet("resnet_basic", {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}, BasicBlock),
    TorchvisionResNet(
        "resnet_bottleneck",
        {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3), "resnet152": (3, 8, 36, 3)},
        Bottleneck,
    ),
    TorchvisionResNet(
        "wide_resnet", {"wide_resnet50_2": (3, 4, 6, 3), "wide_resnet101_2": (3, 4, 23, 3)}, Bottleneck, base_width=128
    ),
)
