"""What a server has done since it was started, counted for people and for Prometheus."""

from collections import Counter
from time import monotonic
from typing import Any

from ddnn_runtime.serving.answer import Batch


class Tally:
    """Counts answers, batches, misses and refusals."""

    def __init__(self) -> None:
        self.began = monotonic()
        self.answered: Counter[str] = Counter()
        self.batches = self.misses = self.refused = 0

    def saw(self, batch: Batch) -> None:
        """A call has ended."""
        self.batches += 1
        for answer in batch.answers:
            self.answered.update(answer.subnets)
            self.misses += answer.slack < 0

    def to_json(self) -> dict[str, Any]:
        """For the live chart of the page."""
        return {
            "answered": dict(self.answered),
            "batches": self.batches,
            "misses": self.misses,
            "refused": self.refused,
            "uptime_s": monotonic() - self.began,
        }
