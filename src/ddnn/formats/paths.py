"""Paths that users give to public functions: of the right kind, or refused before anything is looked for there."""

import os
from pathlib import Path
from typing import Any

from ddnn.errors import DDNNError

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
    ddnn.errors.DDNNError: run must be a path, such as 'runs/digits', not 3
    """
    text = os.fspath(given) if isinstance(given, str | os.PathLike) else ""
    if not isinstance(text, str) or not text or "\0" in text:
        raise DDNNError(f"{what} must be a path, such as 'runs/digits', not {shortened(given)}")
    try:
        names = [os.fsencode(part) for part in Path(text).parts]
    except UnicodeEncodeError:
        raise DDNNError(f"{what} has characters that no path can have: {shortened(given)}") from None
    if sum(map(len, names)) > _LONGEST_PATH or any(len(name) > _LONGEST_NAME for name in names):
        raise DDNNError(f"{what} is too long for a path: {shortened(given)}")
    return Path(text)


def shortened(given: Any) -> str:
    """What was given, in a line that can be read.

    >>> shortened([1] * 1000)
    'a list'
    """
    written = repr(given)
    return written if len(written) <= 80 and "\n" not in written else f"a {type(given).__name__}"
