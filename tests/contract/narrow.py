"""Stock models at a quarter of their width, for what depends on depth alone.

Time goes into drawing, copying and adding up tens of millions of weights, and how blocks nest does not depend on how
many channels they have. What a net is at its real width, `test_every_pair.py` compares with torchvision itself.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from torch import nn
from torchvision.models.resnet import ResNet

from ddnn.families import Family, convnext, resnet, swin, vgg
from ddnn.families.vit import TorchvisionViT

OPTIONS = {"densenet": {"growth": 8}, "cifar_densenet": {"growth": 4}, "cifar_wide_resnet": {"width": 1}}
"""Of the families whose width is an option anyway."""


class NarrowResNet(ResNet):
    """torchvision's, with a quarter of the channels in each stage."""

    def __init__(self, block: Any, layers: list[int], num_classes: int = 1000, **options: Any) -> None:
        super().__init__(block, layers, num_classes, **options)
        self.conv1 = nn.Conv2d(3, 16, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.fc = nn.Linear(128 * block.expansion, num_classes)

    def _make_layer(self, block: Any, planes: int, blocks: int, *rest: Any, **options: Any) -> nn.Sequential:
        if planes == 64:  # the first stage, which follows the stem
            self.inplanes = 16
        return super()._make_layer(block, planes // 4, blocks, *rest, **options)


@contextmanager
def narrow(family: Family) -> Iterator[None]:
    """Has a family build its nets narrow, opening stored ones included. Torchvision's VGGs stay as they are: most of
    their weights are in a head of fixed width."""
    with ExitStack() as patches:
        if family.name == "convnext":
            patches.enter_context(patch.object(convnext, "CHANNELS", (24, 48, 96, 192)))
        elif family.name.startswith("swin"):
            patches.enter_context(patch.object(swin, "WIDTH", 24))
        elif family.name == "cifar_vgg":
            patches.enter_context(patch.object(vgg, "CHANNELS", (16, 32, 64, 128, 128)))
        elif "resnet" in family.name and not family.name.startswith("cifar"):
            patches.enter_context(patch.object(resnet, "ResNet", NarrowResNet))
        elif isinstance(family, TorchvisionViT):
            patches.enter_context(patch.object(family, "_width", 8 * family._heads))
        yield
