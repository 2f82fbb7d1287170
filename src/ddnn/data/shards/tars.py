"""What is in a tar of WebDataset's layout: files with one name and several endings are one sample.

`n01440764_36.jpg` and `n01440764_36.cls` (a class number in text), or a `.json` with a "label" or "cls", are an image
and its class. The name is what stands before the first dot after the last slash; where that makes no sample, what
stands before the last dot, as in `scan.0000.jpg` with `scan.0000.cls`. Images that are no sample are named as left
out, files with other endings are left alone. A tar is read from its beginning to its end, once, so that it may come
from a server; nothing is unpacked.
"""

import hashlib
import re
import tarfile
from collections.abc import Iterator
from itertools import groupby
from typing import IO, NamedTuple

from ddnn.errors import DataError
from ddnn_runtime.image_files import SUFFIXES
from ddnn_runtime.sealed_json import parse_json

_NAME = re.compile(r"((?:.*/)?[^./][^/.]*)\.([^/]*)", re.DOTALL)
HIDDEN, LINK, NO_CLASS = "hidden", "no plain file", "no class of its own"
"""Why an image is left out."""
_LARGEST_LABEL = 2**20  # bytes of a .cls or .json


class Sample(NamedTuple):
    """One image of a tar: its name, where its bytes begin, how many there are, and its class."""

    key: str
    offset: int
    size: int
    label: int


class LeftOut(NamedTuple):
    """An image of a tar that is no sample: the file's name, and why."""

    file: str
    reason: str


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
    """One file in a tar; `ending` is all that follows the first dot, `content` is None but for labels."""

    key: str
    ending: str
    offset: int
    size: int
    content: bytes | None

    def by_last_dot(self) -> "_File":
        """The same file, whose name reaches up to its last dot."""
        start, dot, ending = self.ending.rpartition(".")
        return self._replace(key=f"{self.key}.{start}", ending=ending) if dot else self


def read_samples(stream: Hashed, name: str) -> tuple[list[Sample], list[LeftOut]]:
    """The images of a tar in its order, and those that are no sample.

    Args:
        stream: the tar from its first byte; it is read to its end.
        name: what errors call the tar.

    Raises:
        DataError: it is no plain tar, is cut off, or an image has no class; the message names tar and image.
    """
    left: list[LeftOut] = []
    try:
        files = list(_files(stream, left))
    except (tarfile.TarError, EOFError, ValueError, OverflowError) as error:
        raise DataError(
            f"{name} is no plain tar, or a damaged one ({error}): shards are WebDataset's tars, not compressed"
        ) from None
    samples = [
        sample
        for key, group in groupby(files, key=lambda file: file.key)
        for sample in _samples(key, list(group), name, left)
    ]
    return samples, left


def _files(stream: Hashed, left: list[LeftOut]) -> Iterator[_File]:
    with tarfile.open(fileobj=stream, mode="r|", bufsize=1 << 20) as archive:  # type: ignore[call-overload]
        for member in archive:
            archive.members = []  # or it would keep them all
            match, plain = _NAME.fullmatch(member.name), member.isreg() and member.sparse is None
            if match is None or not plain:
                if not member.isdir() and _is_image(member.name.rpartition(".")[2].lower()):
                    left.append(LeftOut(_text(member.name), LINK if not plain else HIDDEN))
                continue
            key, ending = _text(match[1]), _text(match[2]).lower()
            yield _File(key, ending, member.offset_data, member.size, _label_content(archive, member, ending))
        stream.finish()
        if archive.offset + tarfile.BLOCKSIZE > stream.size:
            raise ValueError("it is cut off")
        if archive.offset < stream.zeros_from:  # tarfile takes a damaged header for the end
            raise ValueError(f"what stands at byte {archive.offset} is no file")


def _text(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()


def _is_image(ending: str) -> bool:
    return f".{ending}" in SUFFIXES


def _label_content(archive: tarfile.TarFile, member: tarfile.TarInfo, ending: str) -> bytes | None:
    if ending.rpartition(".")[2] not in ("cls", "json") or member.size > _LARGEST_LABEL:
        return None
    file = archive.extractfile(member)
    return file and file.read()


def _samples(key: str, files: list[_File], name: str, left: list[LeftOut]) -> Iterator[Sample]:
    """The samples among files that have the name before the first dot in common.

    Those without another dot are one sample, as WebDataset has it; what more the others may hold, such as a mask in
    `key.seg.png`, is none. Others are samples if they have a class under all that stands before their last dot.
    """
    whole = _sample(key, [file for file in files if "." not in file.ending], name)
    if whole:
        yield whole
    parts: dict[str, list[_File]] = {}
    for file in files:
        if "." in file.ending:
            part = file.by_last_dot()
            parts.setdefault(part.key, []).append(part)
    for part_key, part in parts.items():
        try:
            sample = _sample(part_key, part, name) if any(file.content is not None for file in part) else None
        except DataError:
            if whole is None:
                raise
            sample = None  # what is told of a mask or a thumbnail need not be a class
        if sample:
            yield sample
        else:
            left += [LeftOut(f"{part_key}.{file.ending}", NO_CLASS) for file in part if _is_image(file.ending)]


def _sample(key: str, files: list[_File], name: str) -> Sample | None:
    """An image and its class; None for what has no image."""
    images = [file for file in files if _is_image(file.ending)]
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
