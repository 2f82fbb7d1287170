"""What waits in the queue of a server, as the policy sees it."""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True)
class Request:
    """One question to the server: some images, and what the client asks for.

    Args:
        number: which no other request has; the earlier of two has the lower one.
        arrived: when, in seconds of a monotonic clock.
        deadline: when the answer must be there, on the same clock; inf if there is no hurry.
        images: how many; they are answered together, by one net.
        subnet: the net that the client names; None leaves it to the policy.
        least_accuracy: only nets of this accuracy or more, in [0, 1], may answer; 0 allows all.
        cascade: whether nets answer one after the other, each what it is sure of. Cascades go in batches of their own.
    """

    number: int
    arrived: float
    deadline: float = inf
    images: int = 1
    subnet: str | None = None
    least_accuracy: float = 0.0
    cascade: bool = False

    @property
    def urgency(self) -> tuple[float, int]:
        """What a queue is ordered by: the earliest deadline first, then the earliest arrival."""
        return self.deadline, self.number

    def slack(self, now: float) -> float:
        """Seconds that are left until the deadline; negative when it has passed."""
        return self.deadline - now
