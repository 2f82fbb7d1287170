"""Documents on disk, read as what their types say: whoever wrote them, nothing else comes out than that, or one error.

A document is a dataclass whose fields have limits (`ddnn_runtime.schema`). What does not fit is refused with

    FILE is damaged: WHERE must be ALLOWED, not VALUE; FIX
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from ddnn_runtime.errors import ModelFileError
from ddnn_runtime.geometry import LARGEST_SIDE
from ddnn_runtime.schema import LARGEST, typed
from ddnn_runtime.sealed_json import parse_json, unsealed
from ddnn_runtime.untrusted import LONGEST_TEXT, MOST, UnfitValueError, shown

Value = TypeVar("Value")

MOST_BYTES = 1 << 26
"""Of a document: far above what we write, and far below what fills a memory."""

Natural = Annotated[int, Meta(ge=0, le=MOST)]
Count = Annotated[int, Meta(ge=1, le=MOST)]
Positive = Annotated[float, Meta(gt=0, le=LARGEST)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
Finite = Annotated[float, Meta(ge=-float(MOST), le=float(MOST), description="a finite number")]
Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]
Side = Annotated[int, Meta(ge=1, le=LARGEST_SIDE)]
"""Of an image, in pixels."""
Name = Annotated[
    str,
    Meta(
        pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]*\Z",
        max_length=LONGEST_TEXT,
        description="a name of letters, digits, - and _",
    ),
]
"""What a net may be called: no part of a path, no markup."""


def read_document(
    source: Path | bytes,
    kind: type[Value],
    *,
    fix: str,
    name: str = "",
    sealed: bool = False,
    header: dict[str, Any] | None = None,
    closed: bool | tuple[type, ...] = True,
) -> Value:
    """A document from a file, or from its bytes.

    Args:
        source: the file, or what is in it.
        kind: the type of the document.
        fix: what to do about a damaged one.
        name: what an error calls it; nothing means the path.
        sealed: it may carry a checksum.
        header: keys beside those of the type, the kind or the format, and the one value that each may have.
        closed: for which dataclasses keys without a field are refused, rather than ignored: all, none, or these.

    Raises:
        ModelFileError: it cannot be read, is no JSON, or does not fit its type, or has another header.
    """
    name = name or str(source)
    with refusing_damage(name, fix):
        try:
            values = read_json(source, sealed=sealed)
        except OSError as error:
            raise ModelFileError(f"{name} cannot be read: {error.strerror}") from None
        for key, wanted in (header or {}).items():
            _check_header(name, key, values.pop(key, None), wanted)
        return typed(values, kind, closed=closed)


def _check_header(name: str, key: str, found: Any, wanted: Any) -> None:
    if found == wanted:
        return
    if key == "kind":
        raise ModelFileError(f"{name} was not written by `{wanted}`; give a file that was")
    if found is None:
        raise UnfitValueError(f"it lacks {key}")
    raise ModelFileError(f"{name} has {key} {shown(found)}; this version of ddnn reads {wanted}")


@contextmanager
def refusing_damage(name: str, fix: str) -> Iterator[None]:
    """What turns out not to fit within this is the fault of the document of that name.

    Raises:
        ModelFileError: in place of other `ValueError`s.
    """
    try:
        yield
    except ValueError as error:
        if isinstance(error, ModelFileError) and not isinstance(error, UnfitValueError):
            raise
        raise ModelFileError(f"{name} is damaged: {' '.join(str(error).split())}; {fix}") from None


def read_json(source: Path | bytes, *, sealed: bool = False) -> dict[str, Any]:
    """The JSON object in a file, or in its bytes.

    Raises:
        ValueError: it is something else, or too large, or its checksum differs.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            source = file.read(MOST_BYTES + 1)
    if len(source) > MOST_BYTES:
        raise ValueError(f"it has more than the {MOST_BYTES:,} bytes that are allowed")
    text = source.decode("utf-8")
    values = unsealed(text) if sealed else parse_json(text)
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    return values
