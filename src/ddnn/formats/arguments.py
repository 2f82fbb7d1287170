"""Arguments that users give to public functions: of the right kind, or refused before anything is done with them."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ddnn.errors import DDNNError
from ddnn_runtime.untrusted import shown

_LONGEST_NAME, _LONGEST_PATH = 255, 4000  # bytes that file systems and operating systems take


def path_of(given: Any, what: str = "path") -> Path:
    """A path from text, a `Path`, or whatever names one, such as the run that `ddnn.train` returns.

    Args:
        given: by the user.
        what: the name of the argument, for messages.

    Raises:
        DDNNError: if it is no path, or one that no file system can have.

    >>> path_of("runs/digits").name
    'digits'
    >>> path_of(3, "run")
    Traceback (most recent call last):
    ...
    ddnn_runtime.errors.DDNNError: run must be a path or a name in text, not 3
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else ""
    if not isinstance(text, str) or not text or "\0" in text:
        raise DDNNError(f"{what} must be a path or a name in text, not {shown(given)}")
    try:
        names = [os.fsencode(part) for part in Path(text).parts]
    except UnicodeEncodeError:
        raise DDNNError(f"{what} has characters that no path can have: {shown(given)}") from None
    if sum(map(len, names)) > _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in names):
        raise DDNNError(f"{what} is too long for a path: {shown(given)}")
    return Path(text)


def paths_of(given: Any, what: str) -> list[Path]:
    """Paths, from one or from whatever gives them one by one.

    Raises:
        DDNNError: if there is none, or one is none.

    >>> [path.name for path in paths_of("photos/cat.jpg", "images")]
    ['cat.jpg']
    >>> paths_of([], "images")
    Traceback (most recent call last):
    ...
    ddnn_runtime.errors.DDNNError: images must be one path or more, not a list of 0
    """
    # A tensor without axes only looks as if it could be gone through.
    several = isinstance(given, Iterable) and bool(getattr(given, "ndim", 1))
    paths: Iterable[Any] = given if several and not isinstance(given, str | bytes | os.PathLike) else [given]
    found = [path_of(path, what) for path in paths]
    if not found:
        raise DDNNError(f"{what} must be one path or more, not {shown(given)}")
    return found


def name_of(given: Any, what: str) -> str:
    """A text that names something.

    Raises:
        DDNNError: if it is none.
    """
    if not isinstance(given, str):
        raise DDNNError(f"{what} must be a name, such as 'resnet18', not {shown(given)}")
    return given


def names_of(given: Any, what: str) -> list[str]:
    """A list of names, from whatever gives them one by one.

    Raises:
        DDNNError: if it is none; a single text is none either.

    >>> names_of(("resnet8", "resnet14"), "names")
    ['resnet8', 'resnet14']
    >>> names_of("resnet8", "names")
    Traceback (most recent call last):
    ...
    ddnn_runtime.errors.DDNNError: names must be a list of names; write ['resnet8']
    """
    if isinstance(given, str):
        raise DDNNError(f"{what} must be a list of names; write [{given[:60]!r}]")
    # A tensor without axes only looks as if it could be gone through.
    found: list[Any] = list(given) if isinstance(given, Iterable) and getattr(given, "ndim", 1) else [None]
    if not all(isinstance(name, str) for name in found):
        raise DDNNError(f"{what} must be a list of names, such as ['resnet8', 'resnet14'], not {shown(given)}")
    return found


def depth_of(given: Any, name: str) -> tuple[int, ...]:
    """Blocks per stage.

    Raises:
        DDNNError: if these are no whole numbers.

    >>> depth_of([2, 2], "half")
    (2, 2)
    """
    listed = isinstance(given, Sequence) and not isinstance(given, str)
    wrong = [blocks for blocks in given if type(blocks) is not int] if listed else [given]
    if wrong:
        raise DDNNError(
            f"the depth of {name} must be whole numbers, one a stage, such as (2, 2), not {shown(wrong[0])}"
        )
    return tuple(given)


def flag_of(given: Any, what: str) -> bool:
    """True or false.

    Raises:
        DDNNError: if it is something else.
    """
    if not isinstance(given, bool):
        raise DDNNError(f"{what} must be True or False, not {shown(given)}")
    return given


def mapping_of(given: Any, what: str, example: str) -> Mapping[Any, Any]:
    """A mapping.

    Raises:
        DDNNError: if it is something else.
    """
    if not isinstance(given, Mapping):
        raise DDNNError(f"{what} must be a mapping, such as {example}, not {shown(given)}")
    return given
