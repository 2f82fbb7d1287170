"""Errors as a client is told of them: a status of HTTP, and one sentence."""

from ddnn_runtime.errors import DDNNError, TooLargeImageError
from ddnn_runtime.serving.answer import CallError, DeadlineError, QueueFullError, TooManyImagesError


class Refusal(DDNNError):
    """A request is refused.

    Attributes:
        code: status of HTTP.
        retry_after: whole seconds; None where asking again does not help.
    """

    def __init__(self, code: int, message: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.code, self.retry_after = code, retry_after


class HungUpError(Exception):
    """The client is not there any more."""


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (QueueFullError, 429),
    (DeadlineError, 503),
    (TooManyImagesError, 413),
    (TooLargeImageError, 413),
    (CallError, 500),
    (DDNNError, 400),
)


def refusal_of(error: Exception) -> Refusal:
    """What the client is told of an error that it, or too many clients, have caused."""
    if isinstance(error, Refusal):
        return error
    code = next(code for kind, code in _CODES if isinstance(error, kind))
    return Refusal(code, str(error), getattr(error, "retry_after", None))
