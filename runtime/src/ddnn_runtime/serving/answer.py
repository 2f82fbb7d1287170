"""What becomes of a request: its answer, or the error that says why there is none."""

from dataclasses import dataclass

import numpy as np

from ddnn_runtime.errors import DDNNError, near
from ddnn_runtime.serving.policy import Decision
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.table import Table


class BusyError(DDNNError):
    """There is too much to do for a request.

    Attributes:
        retry_after: whole seconds after which there should be room, at least 1.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class QueueFullError(BusyError):
    """There is no room for a request; the answer is 429."""


class DeadlineError(BusyError):
    """A request cannot be answered before its deadline; the answer is 503."""


class TooManyImagesError(DDNNError):
    """A request has more images than a call takes; the answer is 413."""


class CallError(RuntimeError):
    """A call failed, by no fault of the client; the answer is 500."""


@dataclass(frozen=True)
class Answer:
    """What a server says of the images of a request.

    Args:
        number: of the request; no other has it.
        logits: float32 of shape (images, classes).
        subnets: the net that answered each image; they differ in a cascade alone.
        waited: seconds from its arrival until its call began: in the queue, and while its images were decoded.
        ran: seconds of the call.
        batch: images in the call, those of other requests included.
        slack: seconds that were left until the deadline when the answer was there; negative when it is late.
    """

    number: int
    logits: np.ndarray
    subnets: tuple[str, ...]
    waited: float
    ran: float
    batch: int
    slack: float


@dataclass(frozen=True)
class Batch:
    """A call that has ended, for those who watch.

    Args:
        decision: the requests, and the net.
        answers: one a request; empty where the call failed.
    """

    decision: Decision
    answers: tuple[Answer, ...]


def not_allowed(request: Request, table: Table) -> str:
    """Why no net may answer a request."""
    if request.cascade and table.cascade is None:
        return "this export has no calibrated cascade: run `ddnn cascade RUN`, and export again"
    if request.cascade:
        known = "is not known" if table.cascade_accuracy is None else f"is {table.cascade_accuracy:.4f}"
        return f"the accuracy of the cascade {known}; ask for {request.least_accuracy:g} without it"
    if request.subnet is not None and request.subnet not in table.seconds:
        return f"there is no sub-net {request.subnet!r}; {near(request.subnet, table.names)}"
    known = {name: accuracy for name, accuracy in table.accuracies.items() if accuracy is not None}
    if not known:
        return "the accuracies of this export are not known: ask without a least accuracy"
    among = [name for name in known if request.subnet in (None, name)]
    best = max(among, key=known.__getitem__) if among else table.names[-1]
    return (
        f"no net is allowed: the most accurate, {best}, has {known.get(best, 0.0):.4f}, not {request.least_accuracy:g}"
    )
