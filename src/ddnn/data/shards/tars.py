"""What is in a tar of WebDataset's layout: files with one name and several endings are one sample.

`n01440764_36.jpg` and `n01440764_36.cls` (a class number in text), or a `.json` with a "label" or "cls", are an image
and its class. The name is what stands before the first dot after the last slash. Files with other endings are left
alone. A tar is read from its beginning to its end, once, so that it may come from a server; nothing is unpacked.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import IO, NamedTuple

from ddnn.data.folder import EXTENSIONS
from ddnn.errors import DataError
from ddnn_runtime.sealed_json import parse_json

_NAME = re.compile(r"((?:.*/)?[^./][^/.]*)\.([^/]*)", re.DOTALL)
_LARGEST_LABEL = 2**20  # bytes of a .cls or .json


class Sample(NamedTuple):
    """One image of a tar: its name, where its bytes begin, how many there are, and its class."""

    key: str
    offset: int
    size: int
    label: int


class Hashed:
    """A stream that counts and hashes what is read from it.

    Attributes:
        size: bytes read.
        zeros_from: the place after which all of them were 0.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream, self._digest = stream, hashlib.sha256()
        self.size: int = 0
        self.zeros_from: int = 0
        self._ended = False

    def read(self, count: int = -1) -> bytes:
        """The next bytes, none at the end.

        Raises:
            EOFError: asked for more after that, as tarfile does for hours if a damaged header says so.
        """
        if self._ended:
            raise EOFError("it is cut off")
        content = self._stream.read(count)
        self._ended = not content
        self._digest.update(content)
        if some := content.rstrip(b"\0"):
            self.zeros_from = self.size + len(some)
        self.size += len(content)
        return content

    def finish(self) -> str:
        """Read what is left; gives the SHA-256 of all."""
        while not self._ended:
            self.read(1 << 20)
        return self._digest.hexdigest()


class _File(NamedTuple):
    """One file in a tar; `content` is None but for labels."""

    key: str
    ending: str
    offset: int
    size: int
    content: bytes | None


def read_samples(stream: Hashed, name: str) -> list[Sample]:
    """The images of a tar in its order.

    Args:
        stream: the tar from its first byte; it is read to its end.
        name: what errors call the tar.

    Raises:
        DataError: it is no plain tar, is cut off, or an image has no class; the message names tar and image.
    """
    try:
        files = list(_files(stream))
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise DataError(
            f"{name} is no plain tar, or a damaged one ({error}): shards are WebDataset's tars, not compressed"
        ) from None
    samples = [_sample(key, list(group), name) for key, group in groupby(files, key=lambda file: file.key)]
    return [sample for sample in samples if sample is not None]


def _files(stream: Hashed) -> Iterator[_File]:
    with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as archive:  # type: ignore[call-overload]
        for member in archive:
            archive.members = []  # or it would keep them all
            match = _NAME.fullmatch(member.name)
            if match is None or not member.isreg() or member.sparse is not None:
                continue
            key, ending = match[1].encode("utf-8", "backslashreplace").decode(), match[2].lower()
            yield _File(key, ending, member.offset_data, member.size, _label_content(archive, member, ending))
        stream.finish()
        if archive.offset + tarfile.BLOCKSIZE > stream.size:
            raise ValueError("it is cut off")
        if archive.offset < stream.zeros_from:  # tarfile takes a damaged header for the end
            raise ValueError(f"what stands at byte {archive.offset} is no file")


def _label_content(archive: tarfile.TarFile, member: tarfile.TarInfo, ending: str) -> bytes | None:
    if ending not in ("cls", "json") or member.size > _LARGEST_LABEL:
        return None
    file = archive.extractfile(member)
    return file and file.read()


def _sample(key: str, files: list[_File], name: str) -> Sample | None:
    """An image and its class; None for what has neither."""
    images = [file for file in files if f".{file.ending}" in EXTENSIONS]
    labels = {file.ending: file.content for file in files if file.content is not None}
    if not images:
        return None
    if len(images) > 1:
        raise DataError(
            f"{name}: {key} has {len(images)} images ({', '.join(file.ending for file in images)}); it must have one"
        )
    return Sample(key, images[0].offset, images[0].size, _label(labels, key, name))


def _label(labels: dict[str, bytes], key: str, name: str) -> int:
    if "cls" not in labels and "json" not in labels:
        raise DataError(f'{name}: {key} has no class: expected {key}.cls, or {key}.json with a "label" or "cls"')
    text = labels["cls"].decode("utf-8", "replace").strip() if "cls" in labels else _label_of_json(labels["json"])
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise DataError(f"{name}: the class of {key} must be a number from 0 on, not {text[:40]!r}")
    return int(text)


def _label_of_json(content: bytes) -> str:
    try:
        document = parse_json(content)
    except ValueError:
        return "damaged JSON"
    fields = document if isinstance(document, dict) else {}
    return str(fields.get("label", fields.get("cls")))
