"""The best net within bounds: pure functions of what was measured.

Best is the most accurate that meets every bound; of equals, the faster. With a bound on the accuracy alone, it is the
fastest that reaches it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ddnn.errors import DDNNError
from ddnn.measuring.front import pareto


@dataclass(frozen=True)
class Candidate:
    """A net, and what was measured of it.

    Args:
        name: its name.
        depth: blocks per stage.
        accuracy: in [0, 1].
        latency_ms: median milliseconds of a call.
        memory_mb: the highest memory of a process that loads and runs it; None where that is not known.
        trained: or calibrated only.
        p95_ms: one call in twenty took longer; None where that was not measured.
    """

    name: str
    depth: tuple[int, ...]
    accuracy: float
    latency_ms: float
    memory_mb: float | None = None
    trained: bool = True
    p95_ms: float | None = None


@dataclass(frozen=True)
class Bounds:
    """What a net must keep to; None bounds nothing.

    Args:
        latency_ms: the most milliseconds.
        accuracy: the least accuracy.
        memory_mb: the most memory.
    """

    latency_ms: float | None = None
    accuracy: float | None = None
    memory_mb: float | None = None

    def misses(self, candidate: Candidate) -> dict[str, float]:
        """By how much a candidate misses each bound that it misses, in the bound's own unit.

        >>> Bounds(latency_ms=2, accuracy=0.9).misses(Candidate("half", (1, 1), accuracy=0.95, latency_ms=2.5))
        {'latency_ms': 0.5}
        """
        return {name: -left for name, left in self.left(candidate).items() if left < 0}

    def left(self, candidate: Candidate) -> dict[str, float]:
        """What a candidate leaves unused of each bound, in the bound's own unit; negative where it misses it.

        Raises:
            DDNNError: if memory is bounded, and not known.
        """
        left = {}
        if self.latency_ms is not None:
            left["latency_ms"] = self.latency_ms - candidate.latency_ms
        if self.accuracy is not None:
            left["accuracy"] = candidate.accuracy - self.accuracy
        if self.memory_mb is not None:
            if candidate.memory_mb is None:
                raise DDNNError(
                    f"the memory of {candidate.name} is not known here, so it cannot be held against --memory_mb; "
                    "leave the bound out (a profile made on Linux has it, but for compiled nets on a CPU)"
                )
            left["memory_mb"] = self.memory_mb - candidate.memory_mb
        return left

    def distance(self, candidate: Candidate) -> float:
        """How far a candidate is from meeting every bound: its largest miss, as a share of the bound."""
        return max((by / getattr(self, name) for name, by in self.misses(candidate).items()), default=0.0)

    @property
    def accuracy_alone(self) -> bool:
        """Whether nothing but the accuracy is bounded."""
        return self.latency_ms is None and self.memory_mb is None


@dataclass(frozen=True)
class Choice:
    """The chosen net, and what the next better one would take.

    Args:
        chosen: the best that meets every bound.
        left: what it leaves unused of each bound, in the bound's own unit.
        next_better: the net with the least accuracy above that of the chosen one; None if there is none.
        misses: by how much that one misses which bound; empty if it was not chosen because it is slower.
    """

    chosen: Candidate
    left: dict[str, float]
    next_better: Candidate | None
    misses: dict[str, float]


def choose_from(candidates: Sequence[Candidate], bounds: Bounds) -> Choice:
    """The best of the candidates within the bounds.

    Args:
        candidates: at least one.
        bounds: at least one.

    Raises:
        DDNNError: if none fits; the message has the figures of the nearest, and says what it misses by how much.

    Example:
        >>> small = Candidate("small", (1, 1), accuracy=0.90, latency_ms=1.0)
        >>> large = Candidate("large", (2, 2), accuracy=0.95, latency_ms=3.0)
        >>> choice = choose_from([small, large], Bounds(latency_ms=2))
        >>> choice.chosen.name, choice.left, choice.misses
        ('small', {'latency_ms': 1.0}, {'latency_ms': 1.0})
    """
    assert candidates
    fitting = [candidate for candidate in candidates if not bounds.misses(candidate)]
    if not fitting:
        nearest = min(candidates, key=lambda candidate: (bounds.distance(candidate), candidate.latency_ms))
        raise DDNNError(f"no net fits; the nearest is {describe(nearest)}: it misses {in_words(bounds, nearest)}")
    if bounds.accuracy_alone:
        chosen = min(fitting, key=lambda candidate: (candidate.latency_ms, -candidate.accuracy))
    else:
        chosen = max(fitting, key=lambda candidate: (candidate.accuracy, -candidate.latency_ms))
    better = [candidate for candidate in candidates if candidate.accuracy > chosen.accuracy]
    following = min(better, key=lambda candidate: (candidate.accuracy, candidate.latency_ms), default=None)
    return Choice(chosen, bounds.left(chosen), following, bounds.misses(following) if following else {})


def front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that no other one beats, being as accurate and as fast, and better in one of both; fast to slow.

    >>> nets = [Candidate("a", (1,), 0.9, 1.0), Candidate("b", (2,), 0.8, 2.0), Candidate("c", (3,), 0.95, 3.0)]
    >>> [net.name for net in front(nets)]
    ['a', 'c']
    """
    places = pareto([each.latency_ms for each in candidates], [each.accuracy for each in candidates])
    return [candidates[place] for place in places]


def describe(candidate: Candidate) -> str:
    """A candidate with its figures.

    >>> describe(Candidate("half", (1, 1), accuracy=0.9, latency_ms=2.5, memory_mb=80))
    'half with 2.5 ms, 90.00 %, 80.0 MB'
    """
    memory = "" if candidate.memory_mb is None else f", {candidate.memory_mb:.1f} MB"
    return f"{candidate.name} with {candidate.latency_ms:.3g} ms, {100 * candidate.accuracy:.2f} %{memory}"


def in_words(bounds: Bounds, candidate: Candidate) -> str:
    """Which bounds a candidate misses, and by how much."""
    words = {"latency_ms": "{} ms by {:.3g} ms", "accuracy": "{} by {:.4f}", "memory_mb": "{} MB by {:.1f} MB"}
    return " and ".join(
        f"{name} {words[name].format(f'{getattr(bounds, name):g}', by)}"
        for name, by in bounds.misses(candidate).items()
    )
