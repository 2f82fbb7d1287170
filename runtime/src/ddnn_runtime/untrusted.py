"""Values out of files that anybody may have written: of the right kind and of a size that makes sense, or refused.

A checksum guards against damage, and whoever writes a file can write its sum anew. So what a saved network or an export
says of itself is looked at value by value before anything is built from it. Nothing here imports torch.
"""

import re
from collections.abc import Callable, Mapping
from math import inf, isfinite
from typing import Any, TypeVar

from ddnn_runtime.errors import ModelFileError

Value = TypeVar("Value")

MOST = 2**62
LONGEST_TEXT = 1000
MOST_ENTRIES = 100_000


class UnfitValueError(ModelFileError):
    """A value makes no sense where it stands; the message names it, and not the file."""


def mapping(value: Any, what: str) -> dict[str, Any]:
    """A mapping from texts.

    Raises:
        UnfitValueError: it is something else, as all functions here do.
    """
    return dict(value) if isinstance(value, Mapping) else _refuse(value, what, "a mapping")


def known(values: Mapping[str, Any], what: str, keys: tuple[str, ...], optional: tuple[str, ...] = ()) -> None:
    """Refuse a mapping that lacks a key, or has one that nobody knows."""
    if missing := [key for key in keys if key not in values]:
        raise UnfitValueError(f"{what} lacks {missing[0]}")
    if unknown := [key for key in values if key not in (*keys, *optional)]:
        raise UnfitValueError(f"{what} has {shown(unknown[0])}, which this version of ddnn does not know")


def count(value: Any, what: str, least: int = 0, most: int = MOST) -> int:
    """A whole number.

    >>> count(3, "depth"), count(True, "depth")
    Traceback (most recent call last):
    ...
    ddnn_runtime.untrusted.UnfitValueError: depth must be a whole number from 0 to 4611686018427387904, not True
    """
    if type(value) is int and least <= value <= most:
        return value
    return _refuse(value, what, f"a whole number from {least} to {most}")


def number(value: Any, what: str, least: float = -inf, most: float = inf) -> float:
    """A finite number."""
    if type(value) in (int, float) and abs(value) < MOST and isfinite(value) and least <= value <= most:
        return float(value)
    limits = "" if (least, most) == (-inf, inf) else f" from {least:g} to {most:g}"
    return _refuse(value, what, f"a finite number{limits}")


def text(value: Any, what: str) -> str:
    """A text, not a whole book."""
    fits = isinstance(value, str) and len(value) <= LONGEST_TEXT
    return value if fits else _refuse(value, what, f"a text of at most {LONGEST_TEXT} characters")


def flag(value: Any, what: str) -> bool:
    """True or false."""
    return value if isinstance(value, bool) else _refuse(value, what, "true or false")


def listed(
    value: Any, what: str, each: Callable[[Any, str], Value], least: int = 0, most: int = MOST_ENTRIES
) -> tuple[Value, ...]:
    """A list of so many values."""
    if not isinstance(value, list | tuple) or not least <= len(value) <= most:
        wanted = f"{least}" if least == most else f"{least} to {most}"
        return _refuse(value, what, f"a list of {wanted} values")
    return tuple(each(item, what) for item in value)


def chosen(value: Any, what: str, choices: tuple[str, ...]) -> str:
    """One of several texts."""
    return value if isinstance(value, str) and value in choices else _refuse(value, what, " or ".join(choices))


def name(value: Any, what: str) -> str:
    """What a net may be called: no part of a path, no markup."""
    if isinstance(value, str) and len(value) <= LONGEST_TEXT and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", value):
        return value
    return _refuse(value, what, "a name of letters, digits, - and _")


def _refuse(value: Any, what: str, wanted: str) -> Any:
    raise UnfitValueError(f"{what} must be {wanted}, not {shown(value)}")


def shown(value: Any) -> str:
    """A few characters of a value, however large it is."""
    if isinstance(value, Mapping | list | tuple):
        return f"a {'mapping' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    if isinstance(value, int) and abs(value) > MOST:
        return "a huge number"
    written = repr(value[:60] if isinstance(value, str) else value)
    return written if len(written) <= 80 else f"{written[:60]}..."
