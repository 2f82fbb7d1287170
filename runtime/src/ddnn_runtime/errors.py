"""The errors that a user can cause, in one place, so that the command line can tell them from our own mistakes.

Each message says what was given, what is allowed and what to do. All of them are `ValueError`s: whoever calls the
library catches what they would expect to catch.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class DDNNError(ValueError):
    """Something that was asked for cannot be done; the message says what to do instead.

    Attributes:
        status: what the command line exits with.
    """

    status = 1


class DataError(DDNNError):
    """The images or labels cannot be used as they are."""


class UnreadableImageError(DataError):
    """An image cannot be decoded; the message names it."""


class TooLargeImageError(UnreadableImageError):
    """An image has more pixels than are allowed."""


class ModelFileError(DDNNError):
    """A saved network, a run or a state dict is damaged or belongs to something else."""


def near(word: str, allowed: Iterable[str]) -> str:
    """The end of a message about an unknown word: its near matches, then what is allowed, as far as a line holds it.

    >>> near("resnet43", ["resnet34", "resnet44", "vgg16"])
    'did you mean resnet44 or resnet34? Allowed: resnet34, resnet44, vgg16'
    """
    allowed = list(allowed)
    matches = get_close_matches(word, allowed, n=3, cutoff=0.6)
    guess = f"did you mean {' or '.join(matches)}? " if matches else ""
    rest = f" and {len(allowed) - 20} more" if len(allowed) > 20 else ""
    return f"{guess}Allowed: {', '.join(allowed[:20])}{rest}"
