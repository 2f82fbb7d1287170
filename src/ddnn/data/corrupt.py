"""Images that cannot be decoded: refused, or left out up to a number, each of them named once."""

import warnings

from ddnn.errors import DataError, UnreadableImageError

_NAMED = 20


class CorruptImages:
    """Counts the images of a split that cannot be decoded.

    Args:
        allowed: how many may be left out; with none, the first is an error.
        split: what messages call the split.
    """

    def __init__(self, allowed: int, split: str) -> None:
        self._allowed, self._split = allowed, split
        self._seen: dict[str, None] = {}

    def note(self, message: str) -> None:
        """Take in that an image cannot be decoded; the same message again is the same image.

        Raises:
            UnreadableImageError: none may be left out.
            DataError: there are more than allowed; the message names them.
        """
        if not self._allowed:
            raise UnreadableImageError(message)
        if message in self._seen:
            return
        self._seen[message] = None
        count = len(self._seen)
        if count > self._allowed:
            some = "; ".join(list(self._seen)[:_NAMED])
            more = f"; and {count - _NAMED} more" if count > _NAMED else ""
            raise DataError(
                f"more than {self._allowed} {self._split} images cannot be decoded ({some}{more}): mend or remove "
                "them, or allow more with max_corrupt"
            )
        warnings.warn(f"{message}; left out ({count} of at most {self._allowed} {self._split} images)", stacklevel=2)
