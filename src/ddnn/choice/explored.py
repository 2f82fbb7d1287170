"""What a search among depths has found."""

from collections.abc import Sequence
from dataclasses import dataclass

from ddnn.choice.best import Candidate
from ddnn.choice.circumstances import Circumstances
from ddnn.choice.search import Search


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
