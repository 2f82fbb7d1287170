"""The depths between those that were trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from ddnn.errors import DDNNError

Depth = tuple[int, ...]


class NoSuchDepth(DDNNError):
    """No net of the family has this depth, such as one without a block that changes the shape."""


@dataclass(frozen=True)
class DepthSpace:
    """All depths with so many blocks in each stage.

    Args:
        low: the fewest blocks of each stage.
        high: the most.
        trained: depths in it that were trained.
    """

    low: Depth
    high: Depth
    trained: frozenset[Depth]

    @classmethod
    def of(cls, depths: Mapping[str, Depth], full: str) -> "DepthSpace":
        """From the fewest blocks that a trained sub-net has in each stage to those of the full net; from one block
        where there is no sub-net.

        >>> space = DepthSpace.of({"resnet8": (1, 1, 1), "resnet20": (3, 3, 3)}, "resnet20")
        >>> space.low, space.high, space.untrained
        ((1, 1, 1), (3, 3, 3), 25)
        """
        subnets = [depth for name, depth in depths.items() if name != full]
        low = tuple(min(blocks) for blocks in zip(*subnets, strict=True)) if subnets else (1,) * len(depths[full])
        return cls(low, depths[full], frozenset(depths.values()))

    @property
    def untrained(self) -> int:
        """How many depths were not trained."""
        return prod(high - low + 1 for low, high in zip(self.low, self.high, strict=True)) - len(self.trained)


def name_of(depth: Depth) -> str:
    """What a depth without a name is called.

    >>> name_of((1, 2, 3))
    'depth-1-2-3'
    """
    return f"depth-{'-'.join(map(str, depth))}"
