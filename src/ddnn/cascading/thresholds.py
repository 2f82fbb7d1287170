"""Choose thresholds on held-out images: every cascade of a grid is tried, and the best ones are kept.

The grid: every choice of at most `MOST_NETS` of the nets, so leaving nets out is tried too; for each net but the last
of a choice, thresholds at evenly spaced quantiles of its confidences. There are at most `MOST_LEVELS` of them, and as
many as make `MOST_CELLS` cascades of a choice: 200 for one threshold, 44 for each of two, 12 of three, 6 of four. With
more, the best on the held-out images would be the best there by chance (docs/cascades.md has figures).

Nothing is estimated: how many images reach each net, and how many of those it is right about, is counted for all
cascades of a choice at once, from sums over a histogram of the nets' confidences.

Where a net adds a share of the logits before it, how sure it is depends on the nets of the choice, so it is found out
for each choice, with a few shares: more would again be chosen by chance.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from ddnn.cascading.costs import Costs
from ddnn.cascading.votes import Sayings, Votes
from ddnn.errors import DDNNError
from ddnn.measuring.front import pareto
from ddnn.reporting.tables import percent
from ddnn_runtime.cascade_spec import participants

MOST_NETS = 5
MOST_LEVELS = 200
MOST_CELLS = 2000
SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Of the logits before it that a net adds to its own, where that is to be chosen."""


@dataclass(frozen=True)
class Point:
    """A cascade, and what it does on the images that it was calibrated on.

    Args:
        thresholds: of all its nets but the last, shallow to deep.
        last: the net that answers what is left.
        accuracy: in [0, 1].
        cost: the mean of an image, in the unit of the costs.
        boost: share of the logits of the net asked before that each net adds to its own.
    """

    thresholds: Mapping[str, float]
    last: str
    accuracy: float
    cost: float
    boost: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Its nets, shallow to deep."""
        return (*self.thresholds, self.last)


def front(votes: Votes, costs: Costs) -> list[Point]:
    """The cascades of the grid that no other beats in both accuracy and cost, from cheap to accurate.

    Single nets are cascades too.

    Args:
        votes: what the nets that may take part say of the held-out images.
        costs: of these nets.
    """
    return _best([point for names in _choices(votes.names) for point in _grid(votes, names, costs)])


def boosted_front(said: Sayings, allowed: Sequence[str], costs: Costs, shares: Sequence[float]) -> list[Point]:
    """Like `front`, of cascades whose nets add a share of what was said before them; of equal ones that with the first
    share.

    Args:
        said: of the held-out images.
        allowed: the nets that may take part, shallow to deep.
        costs: of these nets.
        shares: to try.
    """
    points = [
        replace(point, boost=share if len(names) > 1 else 0.0)
        for share in shares
        for names in _choices(tuple(allowed))
        for point in _grid(said.votes(names, share), names, costs)
    ]
    return _best(points)


def _choices(names: Sequence[str]) -> list[tuple[str, ...]]:
    """Every choice of the nets, of at most `MOST_NETS`."""
    count = min(MOST_NETS, len(names))
    return [chosen for size in range(1, count + 1) for chosen in combinations(names, size)]


def choose(points: Sequence[Point], target: Mapping[str, float]) -> Point:
    """The cheapest cascade that is accurate enough, or the most accurate one that is cheap enough.

    Args:
        points: from `front`.
        target: {"accuracy": …}, or the most that an image may cost on average: {"macs": …} or {"latency_ms": …}.

    Raises:
        DDNNError: if there is none; the message names the nearest miss.
    """
    ((kind, wanted),) = target.items()
    if kind == "accuracy":
        found = next((point for point in points if point.accuracy >= wanted), None)
        if found is None:
            best = points[-1]
            raise DDNNError(
                f"no cascade reaches an accuracy of {percent(wanted)} % on the held-out images; the best, of "
                f"{' and '.join(best.names)}, reaches {percent(best.accuracy)} %"
            )
        return found
    within = [point for point in points if point.cost <= wanted]
    if not within:
        least, unit = points[0], "multiply-accumulates" if kind == "macs" else "ms"
        raise DDNNError(
            f"no cascade costs at most {wanted:g} {unit} an image; the cheapest, {' and '.join(least.names)}, costs "
            f"{least.cost:.4g}"
        )
    return within[-1]


def thin(points: Sequence[Point], count: int) -> list[Point]:
    """So many of the points, or fewer, evenly spaced in cost, the ends among them."""
    costs = np.array([point.cost for point in points])
    wanted = np.linspace(costs[0], costs[-1], count)
    places = sorted({int(np.abs(costs - cost).argmin()) for cost in wanted})
    return [points[place] for place in places]


def levels_of(exits: int) -> int:
    """How many thresholds are tried for each net, in a cascade with so many thresholds.

    >>> [levels_of(exits) for exits in (1, 2, 3, 4)]
    [200, 44, 12, 6]
    """
    return min(MOST_LEVELS, int(MOST_CELLS ** (1 / exits)))


def levels(confidences: np.ndarray, count: int) -> np.ndarray:
    """Thresholds at evenly spaced quantiles, ascending: each half-way between two confidences that differ, so that
    rounding decides nothing. The lowest confidence is none, for with it nothing would be left.

    Args:
        confidences: float32 of shape (images,).
        count: how many, or fewer where confidences are equal.
    """
    ordered = np.sort(confidences)
    places = np.arange(1, count + 1) * len(ordered) // (count + 1)
    upper = np.unique(ordered[places])
    upper = upper[upper > ordered[0]]
    lower = ordered[np.searchsorted(ordered, upper) - 1]
    middle = (lower + upper) / 2
    return np.where(middle > lower, middle, upper)  # nothing may lie between two neighbours


def _grid(votes: Votes, names: tuple[str, ...], costs: Costs) -> Iterator[Point]:
    """The best cascades of a choice of nets."""
    chosen, exits = votes.only(names), len(names) - 1
    limits = [levels(confidences, levels_of(exits)) for confidences in chosen.confidences[:exits]]
    shape = tuple(len(limit) for limit in limits)
    if 0 in shape:
        return  # a net is as sure of every image as of any other
    right, cost = np.zeros(shape), np.zeros(shape)
    passed = _Histogram(chosen, limits)
    for place, added in enumerate(costs.added(names)):
        cost += added * passed.reaching(place)
        right += passed.answered_rightly(place)
    for place in pareto(cost.ravel(), right.ravel()):
        cell = np.unravel_index(place, shape) if exits else ()
        thresholds = {name: float(limit[i]) for name, limit, i in zip(names, limits, cell, strict=False)}
        assert participants(votes.names, thresholds, names[-1]) == names
        yield Point(thresholds, names[-1], float(right[cell]) / votes.images, float(cost[cell]) / votes.images)


class _Histogram:
    """Counts of images by how sure each net but the last is: between which two of its thresholds."""

    def __init__(self, votes: Votes, limits: Sequence[np.ndarray]) -> None:
        self._votes, self._exits = votes, len(limits)
        bins = [
            np.searchsorted(limit, confidences, side="right")  # how many thresholds it reaches
            for limit, confidences in zip(limits, votes.confidences, strict=False)
        ]
        self._shape = tuple(len(limit) + 1 for limit in limits)
        cells = np.ravel_multi_index(bins, self._shape) if bins else np.zeros(votes.images, dtype=np.int64)
        self._cells = np.asarray(cells)

    def reaching(self, place: int) -> np.ndarray:
        """How many images reach a net, for all thresholds; the axes of nets that do not matter have length 1."""
        return self._broadcast(self._below(np.ones(self._votes.images), place))

    def answered_rightly(self, place: int) -> np.ndarray:
        """How many images reach a net, stay with it, and are classified rightly."""
        weights = self._votes.right[place].astype(float)
        here = self._below(weights, place)
        return self._broadcast(here if place == self._exits else here[..., None] - self._below(weights, place + 1))

    def _below(self, weights: np.ndarray, place: int) -> np.ndarray:
        """The sum of the weights of images of which none of the first nets is sure."""
        counts = np.bincount(self._cells, weights, minlength=int(np.prod(self._shape))).reshape(self._shape)
        counts = counts.sum(axis=tuple(range(place, self._exits)))
        for axis in range(place):
            counts = counts.cumsum(axis)
        return counts[tuple(slice(size - 1) for size in self._shape[:place])]

    def _broadcast(self, counts: np.ndarray) -> np.ndarray:
        return counts.reshape(counts.shape + (1,) * (self._exits - counts.ndim))


def _best(points: Sequence[Point]) -> list[Point]:
    cost, right = (np.array([getattr(point, of) for point in points]) for of in ("cost", "accuracy"))
    return [points[place] for place in pareto(cost, right)]
