"""What a request brings, read within limits: bytes are counted while they come, and nothing is decoded here."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.image_files import printable
from ddnn_runtime.serving.answer import QueueFullError
from ddnn_runtime.serving.refusals import Refusal
from ddnn_runtime.serving.wishes import KEYS

PATIENCE = 30.0
"""Seconds that a client may take for the next piece of its request."""

Take = Callable[[int], None]
"""Asks for room for so many bytes."""


class Room:
    """Memory for all requests that are on their way.

    Args:
        most: bytes.
    """

    def __init__(self, most: int) -> None:
        self._free = most

    @contextmanager
    def share(self) -> Iterator[Take]:
        """What a request takes of it, until it is decoded.

        Raises:
            QueueFullError: by what is yielded, if there is no room.
        """
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if count > self._free:
                raise QueueFullError("too many requests are on their way; ask again later", 1)
            self._free -= count
            taken += count

        try:
            yield take
        finally:
            self._free += taken


@dataclass(frozen=True)
class Question:
    """The images of a request, not decoded, and what else its form says.

    Args:
        images: the bytes of each, and what an error calls it.
        fields: of the form, such as deadline_ms.
    """

    images: list[tuple[bytes, str]]
    fields: dict[str, str]


async def read_question(request: Request, most_bytes: int, most_images: int, take: Take) -> Question:
    """Read a body: one image, or a form with several.

    Raises:
        Refusal: it is too large, or has too many images, or does not come.
        DDNNError: it is no form, or has no image.
        ClientDisconnect: the client has hung up.
    """
    chunks = read_chunks(request, most_bytes, take)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() == "multipart/form-data":
        return await _form(request, chunks, most_images)
    body = await joined(chunks)
    if not body:
        raise DDNNError("there is no image: send its bytes as the body, or as a file of a multipart form")
    return Question([(body, "the image")], {})


async def read_chunks(request: Request, most: int, take: Take) -> AsyncGenerator[bytes, None]:
    """The pieces of a body, as they come; errors as of `read_question`."""
    declared = request.headers.get("content-length")
    length = int(declared) if declared is not None and declared.isascii() and declared.isdigit() else None
    _check_bytes(length or 0, most)
    take(length or 0)
    got, pieces = 0, request.stream()
    while True:
        try:
            async with asyncio.timeout(PATIENCE):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise Refusal(408, f"nothing came for {PATIENCE:g} seconds, and the request is not complete") from None
        if piece is None:
            return
        got += len(piece)
        _check_bytes(got, most)
        if length is None:
            take(len(piece))
        yield piece


async def joined(chunks: AsyncGenerator[bytes, None]) -> bytes:
    """All pieces of a body."""
    return b"".join([chunk async for chunk in chunks])


def _check_bytes(count: int, most: int) -> None:
    if count > most:
        raise Refusal(413, f"a request has at most {most:,} bytes (max_bytes), and this one has more; send less")


class _InMemory(MultiPartParser):
    """Files of a form stay in memory, which is bounded: a full disk fails nobody."""

    spool_max_size = sys.maxsize


async def _form(request: Request, chunks: AsyncGenerator[bytes, None], most: int) -> Question:
    try:
        form = await _InMemory(request.headers, chunks, max_files=most, max_fields=4 * len(KEYS)).parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise Refusal(413, f"a request has at most {most} images (max_images); send the others later") from None
        raise DDNNError(f"the form cannot be read: {error.message}") from None
    files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
    if not files:
        raise DDNNError("the form has no image: send each as a file, as in `curl -F image=@cat.jpg`")
    images = [(await file.read(), _called(place, file.filename)) for place, file in enumerate(files, 1)]
    return Question(images, {key: value for key, value in form.multi_items() if isinstance(value, str)})


def _called(place: int, name: str | None) -> str:
    return f"image {place} ({printable(name[:100])})" if name else f"image {place}"
