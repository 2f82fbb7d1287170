"""A pair of nets that nest, and the smallest one of each family; nothing here needs pytest."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor

import ddnn
from ddnn.families import REGISTRY, Depth, Family
from ddnn.families.family import nests
from tests.contract.built import fresh
from tests.contract.narrow import OPTIONS, narrow


@dataclass(frozen=True)
class Pair:
    family: Family
    full: str
    subnet: str
    depth: Depth | None = None  # of a sub-net that has no name in the field
    narrow: bool = False  # at a quarter of its width

    def __str__(self) -> str:
        return f"{self.subnet}-in-{self.full}"

    def build(self) -> ddnn.DepthDynamicNetwork:
        subnets = [self.subnet] if self.depth is None else {self.subnet: self.depth}
        with self.width():
            return fresh(repr(self), lambda: ddnn.build(self.full, subnets, num_classes=7, **self.options))

    def width(self) -> AbstractContextManager[None]:
        """Where such nets are built, or opened from a file."""
        return narrow(self.family) if self.narrow else nullcontext()

    @property
    def side(self) -> int:
        """Of the test images: smaller than usual, and a multiple of 32, which patches, windows and VGGs need."""
        if self.narrow and self.family.default_input[1] == 32 and self.family.name != "cifar_vgg":
            return 16
        return max(32, 32 * (self.family.default_input[1] // 112))

    @property
    def options(self) -> dict[str, Any]:
        """What the test images need, and nothing random, which separate calls would draw anew."""
        wanted = {"image_size": self.side, "dropout": 0.0, "stochastic_depth": 0.0}
        taken = {field.name: wanted[field.name] for field in fields(self.family.options) if field.name in wanted}
        return taken | (OPTIONS.get(self.family.name, {}) if self.narrow else {})

    def images(self, batch: int = 2) -> Tensor:
        channels = self.family.default_input[0]
        return torch.randn(batch, channels, self.side, self.side, generator=torch.Generator().manual_seed(1))


def small_network(family: Family) -> tuple[ddnn.DepthDynamicNetwork, Tensor]:
    """A network of a family with as few blocks as can be, and images for it: a block a stage, but two in a middle one
    of the full net."""
    torch.manual_seed(0)
    pair = Pair(family, "full", "shallow")
    options, channels = family.parse_options(pair.options), family.default_input[0]
    stages = len(next(iter(family.members.values())))
    full = tuple(2 if stage == stages // 2 else 1 for stage in range(stages))
    model = family.build(full, 7, channels, options)
    network = ddnn.DepthDynamicNetwork(family, ("full", full), model, num_classes=7, options=options)
    network.add_subnet("shallow", (1,) * stages)
    return network, pair.images()


def all_pairs() -> Iterator[Pair]:
    for family in REGISTRY.values():
        members = list(family.members.items())
        for full, outer in members:
            for subnet, inner in members:
                if inner != outer and nests(inner, outer):
                    yield Pair(family, full, subnet)
        full, outer = next((name, depth) for name, depth in members if max(depth) > 1)
        yield Pair(family, full, "unnamed", depth=tuple(max(1, blocks - 1) for blocks in outer))
