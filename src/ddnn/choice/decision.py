"""What was decided, among trained nets or among all depths, and on what that stands. Nothing here imports torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ddnn.choice.best import Bounds, Candidate, Choice
from ddnn.choice.circumstances import Circumstances
from ddnn.config import ChooseConfig

if TYPE_CHECKING:
    from ddnn.choice.explored import Explored
    from ddnn.measuring.evaluation import Score


@dataclass(frozen=True)
class Decision:
    """What was decided, and on what it stands.

    Args:
        choice: the chosen net.
        bounds: that it keeps to.
        candidates: all nets that it was chosen from.
        circumstances: where and how they were measured.
        explored: what a search among all depths has found; None where the trained nets alone were asked for.
        folder: where that is written down.
        test: scores of the chosen net and of the trained ones on the test images; None if the chosen one was trained,
            or those images have decided.
    """

    choice: Choice
    bounds: Bounds
    candidates: Sequence[Candidate]
    circumstances: Circumstances
    explored: "Explored | None" = None
    folder: Path | None = None
    test: "Mapping[str, Score] | None" = None


def bounds_of(config: ChooseConfig) -> Bounds:
    """The bounds of a configuration."""
    return Bounds(config.latency_ms, config.accuracy, config.memory_mb)
