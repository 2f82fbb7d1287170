"""What a cascade costs: the pieces that run, for the images that reach them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ddnn.engines import Engine


@dataclass(frozen=True)
class Costs:
    """What it costs to ask nets one after the other about one image.

    Args:
        unit: multiply-accumulates, or milliseconds.
        pieces: the nets that pass through each piece, and its cost.
        deciding: what it costs to find out whether a net is sure, and to take the images that are left.
    """

    unit: Literal["macs", "ms"]
    pieces: tuple[tuple[tuple[str, ...], float], ...]
    deciding: float = 0.0

    def added(self, names: Sequence[str]) -> list[float]:
        """What each net adds for an image that reaches it, after those before it have been asked.

        >>> costs = Costs("macs", ((("a", "b"), 5.0), (("a",), 1.0), (("b",), 3.0)))
        >>> costs.added(["a", "b"]), costs.added(["b"])
        ([6.0, 3.0], [8.0])
        """
        found = []
        for place, name in enumerate(names):
            before = set(names[:place])
            own = sum(cost for nets, cost in self.pieces if name in nets and not before & set(nets))
            found.append(own if place == len(names) - 1 else own + self.deciding)
        return found

    def average(self, names: Sequence[str], answered: Sequence[float]) -> float:
        """The mean cost of an image.

        Args:
            names: the nets of the cascade.
            answered: share of the images that each answers.
        """
        reached = [1.0 - sum(answered[:place]) for place in range(len(names))]
        return sum(added * share for added, share in zip(self.added(names), reached, strict=True))


def macs_of(engine: Engine) -> Costs:
    """What the nets of an engine cost, in multiply-accumulates."""
    return Costs("macs", engine.piece_macs())
