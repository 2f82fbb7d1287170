"""Nets that share beginnings as a tree: what all of them begin with, then what each group of them goes on with.

A *segment* is a run of steps between two places where nets part. Where nets are called one after the other rather than
together, as in a cascade or in an export, segments are the pieces: each is computed once, and its value is kept for
the nets that go on from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from torch import nn

from ddnn.families.family import Step, common_prefix


@dataclass(frozen=True)
class Segment:
    """Steps that the same nets take, one after the other.

    Args:
        index: its place among the segments of its nets.
        source: the index of the segment whose value goes in; None for the images.
        steps: what is computed.
        owner: the net whose modules run, the shallowest that passes.
        nets: all nets that pass through, shallow to deep.
        leaf: the net whose logits come out, if one ends here.
    """

    index: int
    source: int | None
    steps: tuple[Step, ...]
    owner: str
    nets: tuple[str, ...]
    leaf: str | None

    def run(self, model: nn.Module, value: Any) -> Any:
        """The value after this segment.

        Args:
            model: the net of the name `owner`.
            value: that of the source, or images (batch, channels, height, width). Between steps it is what the family
                passes on: a tensor, or a list of tensors, batch first.
        """
        for step in self.steps:
            value = step.run(model, value)
        return value


class SegmentModule(nn.Module):
    """A segment as a module, for what takes modules: exporters, and counters of operations.

    Args:
        segment: any.
        net: the net of the name `segment.owner`.
    """

    def __init__(self, segment: Segment, net: nn.Module) -> None:
        super().__init__()
        self.segment = segment
        self.net = net
        self.training: bool = net.training

    def forward(self, value: Any) -> Any:
        """The value after the segment."""
        return self.segment.run(self.net, value)


def segments(paths: Mapping[str, list[Step]], shareable: Mapping[str, int] | None = None) -> tuple[Segment, ...]:
    """The segments of several nets, each after its source, those of the first net first.

    Args:
        paths: the steps of each net, shallow to deep, by its name.
        shareable: of nets that may share less than they have in common: how many of their first steps may be. That
            is so with private norms, past what they have in common with the full net.

    Example:
        >>> stem, one, two, head = (Step(key, ()) for key in ("stem", "1", "2", "head"))
        >>> found = segments({"shallow": [stem, one, head], "deep": [stem, one, two, head]})
        >>> [(segment.source, [step.key for step in segment.steps], segment.leaf) for segment in found]
        [(None, ['stem', '1'], None), (0, ['head'], 'shallow'), (0, ['2', 'head'], 'deep')]
    """
    made: dict[tuple[str, ...], Segment] = {}
    for name, path in paths.items():
        together = {other: _shared(name, other, paths, shareable or {}) for other in paths}
        passing = [tuple(other for other in paths if together[other] > place) for place in range(len(path))]
        source = None
        for nets, places in groupby(range(len(path)), passing.__getitem__):
            if nets not in made:
                steps = tuple(path[place] for place in places)
                made[nets] = Segment(len(made), source, steps, nets[0], nets, leaf=None)
            source = made[nets].index
        assert path, f"{name} has no steps"
        last = passing[-1]
        assert made[last].leaf is None, f"{name} takes the steps of {made[last].leaf}"
        made[last] = Segment(**{**vars(made[last]), "leaf": name})
    return tuple(made.values())


def whole_nets(names: tuple[str, ...]) -> tuple[Segment, ...]:
    """Segments of nets that cannot be told apart into steps: one for each net, which calls it."""
    step = Step("net", (_call,))
    return tuple(Segment(index, None, (step,), name, (name,), leaf=name) for index, name in enumerate(names))


def _call(model: nn.Module, value: Any) -> Any:
    return model(value)


def _shared(one: str, other: str, paths: Mapping[str, list[Step]], shareable: Mapping[str, int]) -> int:
    """How many of their first steps two nets share."""
    if one == other:
        return len(paths[one])
    allowed = [shareable[name] for name in (one, other) if name in shareable]
    return min([common_prefix(paths[one], paths[other]), *allowed])
