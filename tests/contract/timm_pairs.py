"""Pairs of timm models for the contract tests: at least one of each kind that the library promises to take."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ddnn
from ddnn.families import Depth
from tests.contract.built import fresh


@dataclass(frozen=True)
class TimmPair:
    """See `Pair`; here the models are timm's own.

    Args:
        full: the full net's name in timm.
        subnet: the sub-net's, or a name of our own for `depth`.
        depth: of a sub-net that timm has no name for.
        options: what both are built with. Nothing random, which separate calls would draw anew.
        of_that_depth: what `timm.create_model` takes to make the full net's kind with that depth.
        side: of the images.
        narrower: what makes both narrow.
    """

    full: str
    subnet: str
    depth: Depth | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    of_that_depth: Mapping[str, Any] = field(default_factory=dict)
    side: int = 64
    narrower: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"timm-{self.subnet}-in-{self.full}"

    def build(self) -> ddnn.DepthDynamicNetwork:
        subnets = [self.subnet] if self.depth is None else {self.subnet: self.depth}
        return fresh(repr(self), lambda: ddnn.build(f"timm/{self.full}", subnets, num_classes=7, **self.options))

    def width(self) -> AbstractContextManager[None]:
        """As of `Pair`; these are opened with the options that they were built with."""
        return nullcontext()

    def stock(self, name: str) -> nn.Module:
        """The model that timm makes of this name or depth."""
        import timm

        if name == self.subnet and self.depth is not None:
            return timm.create_model(self.full, num_classes=7, **self.options, **self.of_that_depth)
        return timm.create_model(name, num_classes=7, **self.options)

    def images(self, batch: int = 2) -> Tensor:
        return torch.randn(batch, 3, self.side, self.side, generator=torch.Generator().manual_seed(1))


# a quarter of the usual width, for speed: depth is what is tested
_NARROW_SWIN = {"img_size": 64, "window_size": 2, "drop_path_rate": 0.0, "embed_dim": 24}
_NARROW_CONVNEXT = {"dims": (24, 48, 96, 192)}
_NARROW_RESNET = {"channels": (16, 32, 64, 128)}

_PAIRS = (
    TimmPair("resnet34", "resnet18", narrower=_NARROW_RESNET),
    TimmPair("resnet50", "resnet26", narrower=_NARROW_RESNET),
    TimmPair("seresnet34", "seresnet18", options={"drop_rate": 0.0}, narrower=_NARROW_RESNET),
    TimmPair("resnetv2_34", "resnetv2_18", narrower=_NARROW_RESNET),
    TimmPair("resnext101_32x4d", "resnext50_32x4d", options=_NARROW_RESNET),
    TimmPair("convnext_small", "convnext_tiny", options=_NARROW_CONVNEXT),
    TimmPair("convnext_atto", "half", (1, 1, 3, 1), of_that_depth={"depths": (1, 1, 3, 1)}),
    TimmPair("vit_tiny_patch16_224", "half", (6,), {"img_size": 32}, {"depth": 6}, side=32),
    TimmPair("deit_tiny_distilled_patch16_224", "third", (4,), {"img_size": 64}, {"depth": 4}),
    TimmPair("swin_small_patch4_window7_224", "swin_tiny_patch4_window7_224", options=_NARROW_SWIN),
    TimmPair("efficientnet_b1", "efficientnet_b0"),
)

_missing = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed: pip install ddnn[timm]")

TIMM_PAIRS = [pytest.param(pair, id=str(pair), marks=_missing) for pair in _PAIRS]

NARROW_TIMM_PAIRS = [
    pytest.param(replace(pair, options={**pair.options, **pair.narrower}), id=str(pair), marks=_missing)
    for pair in _PAIRS
]
