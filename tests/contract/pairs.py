"""Every pair of nets that nest, from the registry: a new family is tested by being there."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

import ddnn
from ddnn.families import REGISTRY, Depth, Family
from ddnn.families.family import nests


@dataclass(frozen=True)
class Pair:
    family: Family
    full: str
    subnet: str
    depth: Depth | None = None  # of a sub-net that has no name in the field

    def __str__(self) -> str:
        return f"{self.subnet}-in-{self.full}"

    def build(self) -> ddnn.DepthDynamicNetwork:
        torch.manual_seed(0)
        subnets = [self.subnet] if self.depth is None else {self.subnet: self.depth}
        return ddnn.build(self.full, subnets, num_classes=7)

    def images(self, batch: int = 2) -> Tensor:
        channels, height, _ = self.family.default_input
        side = max(16, height // 4)
        return torch.randn(batch, channels, side, side, generator=torch.Generator().manual_seed(1))


def all_pairs() -> Iterator[Pair]:
    for family in REGISTRY.values():
        members = list(family.members.items())
        for full, outer in members:
            for subnet, inner in members:
                if inner != outer and nests(inner, outer):
                    yield Pair(family, full, subnet)
        full, outer = next((name, depth) for name, depth in members if max(depth) > 1)
        yield Pair(family, full, "unnamed", depth=tuple(max(1, blocks - 1) for blocks in outer))


PAIRS = list(all_pairs())
