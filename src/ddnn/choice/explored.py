"""What a search among all depths has found, and what was decided on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ddnn.choice.best import Candidate
from ddnn.choice.choose import Circumstances, Decision
from ddnn.choice.search import Search
from ddnn.measuring.evaluation import Score


@dataclass(frozen=True)
class Explored:
    """What a search among depths has found.

    Args:
        candidates: all nets, trained ones first.
        front: those that no other one beats in both accuracy and time, fast to slow.
        search: how the depths were gone through.
        untrained: how many depths there were to try.
        calibrated_on: on how many training images.
        circumstances: where and how the nets were measured.
    """

    candidates: Sequence[Candidate]
    front: Sequence[Candidate]
    search: Search
    untrained: int
    calibrated_on: int
    circumstances: Circumstances


@dataclass(frozen=True)
class DepthDecision:
    """What was decided among all depths.

    Args:
        decision: as among trained nets.
        explored: what it was decided on.
        folder: where that is written down.
        test: scores of the chosen net and of the trained ones on the test images; None if the chosen one was trained,
            or those images have decided.
    """

    decision: Decision
    explored: Explored
    folder: Path
    test: Mapping[str, Score] | None
