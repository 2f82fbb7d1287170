"""The errors that a user can cause. They live in the runtime, so that one `except DDNNError` catches those of both."""

from ddnn_runtime.errors import DataError, DDNNError, ModelFileError, UnreadableImageError, near

__all__ = ["DDNNError", "DataError", "ModelFileError", "UnreadableImageError", "first_line", "near"]


def first_line(error: BaseException) -> str:
    """What an error of somebody else's code says, as a part of our own message: its first line, else its type.

    >>> first_line(RuntimeError("\\n  too small\\n\\nat line 3")), first_line(KeyError())
    ('too small', 'KeyError')
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)
