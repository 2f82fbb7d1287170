"""Files on a server or in an object store, read from beginning to end, by way of fsspec.

A connection may drop, so whatever reads is written to begin again: `retried` calls it a few times. File systems of
fsspec do not survive a fork; they are asked for anew each time, which fsspec answers from what the process has.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, TypeVar

from ddnn.errors import DataError

PROTOCOLS = ("http", "https", "s3", "gs", "abfs", "hf")
"""Where shards may be."""

WAITS = (1.0, 4.0, 16.0)
"""Seconds before each further attempt."""

_SILENCE = 60  # seconds without a byte, after which a connection counts as dropped
_REFUSED = (400, 401, 403, 404, 410)  # HTTP's answers that will be the same another time
_Result = TypeVar("_Result")


class NotThereError(DataError):
    """There is no such file, or it may not be read; the message names it."""


class Interrupted(Exception):
    """What was read is not what it should be; it may be another time."""


def is_remote(path: str) -> bool:
    """Whether that is a URL, rather than a path on this machine."""
    return "://" in path


def check_url(url: str) -> None:
    """Raise a DataError unless the URL begins with one of `PROTOCOLS`, and what reads it is installed."""
    protocol = url.partition("://")[0]
    if protocol not in PROTOCOLS:
        raise DataError(f"shards cannot be read from {url}: give a path, or a URL that begins with {_listed()}")
    _file_system(protocol)


def retried(attempt: Callable[[], _Result], url: str) -> _Result:
    """What `attempt` returns; it is called again, after a while, where a connection dropped.

    Raises:
        DataError: the file is not there, or the last attempt has failed, too; the message names it.
    """
    for wait in (*WAITS, None):
        try:
            return attempt()
        except Interrupted as error:
            if wait is None:
                raise DataError(
                    f"Cannot read {url}, after {len(WAITS) + 1} attempts: {error}; see whether the server answers, and "
                    "go on"
                ) from None
            time.sleep(wait)
    raise AssertionError("the last attempt returns or raises")


@contextmanager
def opened(url: str) -> Iterator[IO[bytes]]:
    """A stream of the content; what goes wrong while it is read is an `Interrupted`.

    Raises:
        NotThereError: there is no such file, or it may not be read.
    """
    protocol = url.partition("://")[0]
    options = {"block_size": 0} if protocol.startswith("http") else {}  # 0: one request, read as it comes
    try:
        file: Any = _file_system(protocol).open(url, "rb", **options)
    except DataError:
        raise
    except Exception as error:  # each protocol has its own package, with its own errors
        cause = error.__cause__ or error  # fsspec makes a FileNotFoundError of a connection that dropped, too
        if isinstance(cause, FileNotFoundError | PermissionError) or getattr(cause, "status", None) in _REFUSED:
            raise NotThereError(f"Cannot read {url}: it is not there, or may not be read") from None
        raise Interrupted(_reason(cause)) from None
    with file:
        yield _Stream(file)  # type: ignore[misc]


class _Stream:
    """A file whose errors are `Interrupted`."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, count: int = -1) -> bytes:
        try:
            return self._file.read(count)
        except Exception as error:  # as above
            raise Interrupted(_reason(error)) from None


def read_bytes(url: str) -> bytes:
    """The whole content; errors as of `retried`."""

    def attempt() -> bytes:
        with opened(url) as stream:
            return b"".join(iter(lambda: stream.read(1 << 20), b""))

    return retried(attempt, url)


def _file_system(protocol: str) -> Any:
    import fsspec

    try:
        return fsspec.filesystem(protocol, **_options(protocol))
    except ImportError as error:
        raise DataError(f"{protocol}:// needs a package that is not installed: {error}") from None


def _options(protocol: str) -> dict[str, Any]:
    if not protocol.startswith("http"):
        return {}
    from aiohttp import ClientTimeout

    return {"client_kwargs": {"timeout": ClientTimeout(total=None, sock_connect=_SILENCE, sock_read=_SILENCE)}}


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _listed() -> str:
    return ", ".join(f"{protocol}://" for protocol in PROTOCOLS)
