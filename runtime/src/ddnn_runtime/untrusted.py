"""What no value out of a file that anybody may have written exceeds, and the error about one that makes no sense.

A checksum guards against damage, and whoever writes a file can write its sum anew. So what a saved network or an export
says of itself is looked at value by value (`ddnn_runtime.schema`) before anything is built from it.
"""

from collections.abc import Mapping
from typing import Any

from ddnn_runtime.errors import ModelFileError

MOST = 2**62
LONGEST_TEXT = 1000
MOST_ENTRIES = 100_000


class UnfitValueError(ModelFileError):
    """A value makes no sense where it stands; the message names it, and not the file."""


def shown(value: Any) -> str:
    """A few characters of a value, however large it is."""
    if isinstance(value, Mapping | list | tuple):
        return f"a {'mapping' if isinstance(value, Mapping) else 'list'} of {len(value)}"
    if isinstance(value, int) and abs(value) > MOST:
        return "a huge number"
    written = repr(value[:60] if isinstance(value, str) else value)
    if "\n" in written:  # such as that of an array
        return f"a {type(value).__name__}"
    return written if len(written) <= 80 else f"{written[:60]}..."
