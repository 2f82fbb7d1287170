"""Which image files a person means by a file, a folder or a list of files, and what in a folder is none of them.

Training, evaluation, `ddnn predict` and `ddnn shards write` read folders through `find_images`, so that all of them
take the same files, and each file that is not taken has a reason.
"""

import os
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from ddnn_runtime.errors import DataError

_USUAL = (
    ".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".jfif", ".jpe", ".jif", ".apng",
    ".dib", ".pbm", ".pnm",
)  # fmt: skip
_IF_PILLOW_CAN = (".avif", ".avifs", ".heic", ".heif", ".j2k", ".jp2", ".jpx", ".qoi", ".tga")
SUFFIXES = (*_USUAL, *_IF_PILLOW_CAN)
"""What in a folder is taken for an image, in lower or upper case, where a decoder for it is installed; a file that is
named is taken whatever it is called."""

_OF_SYSTEMS = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
_NAMED = 3


class LeftOut(NamedTuple):
    """A file or a link that is not taken for an image.

    Args:
        path: where it is.
        reason: why it is not.
    """

    path: str
    reason: str


@dataclass
class Found:
    """What is in folders: each file that is not hidden is in one of the two lists, once.

    Args:
        images: those that are taken.
        left_out: the others, and links to folders that are read already.
    """

    images: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)


def is_hidden(name: str) -> bool:
    """Whether a file or folder of this name is one that systems and programs keep for themselves.

    >>> is_hidden("._000.png"), is_hidden(".ipynb_checkpoints"), is_hidden("__MACOSX"), is_hidden("000.png")
    (True, True, True, False)
    """
    return name.startswith(".") or name in _OF_SYSTEMS


def find_images(folder: str | Path) -> Found:
    """All images in a folder and in those below it, in the order of their paths; nothing is asked about each file.

    Links to folders are followed after all others, and each folder is read once, so that no link goes in a circle.
    """
    found, seen, names = Found(), dict[tuple[int, int], str](), [os.fspath(folder)]
    folders, links = deque(names), deque[str]()
    while folders or links:
        path = (folders or links).popleft()
        try:
            status = os.stat(path)  # noqa: PTH116  # as text: ImageNet has 1.3 million files
            first = seen.setdefault((status.st_dev, status.st_ino), path)
            if first is not path:
                found.left_out.append(LeftOut(path, f"a link to {first}, which is read already"))
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    if not is_hidden(entry.name):
                        _sort(entry, found, folders, links)
        except OSError as error:
            found.left_out.append(LeftOut(path, f"cannot be read: {error.strerror or error}"))
    found.images.sort()
    found.left_out.sort()
    return found


def _sort(entry: os.DirEntry[str], found: Found, folders: deque[str], links: deque[str]) -> None:
    """Put what is in a folder where it belongs."""
    if entry.is_symlink():
        if entry.is_dir():
            return links.append(entry.path)
    elif entry.is_dir(follow_symlinks=False):
        return folders.append(entry.path)
    elif not entry.is_file(follow_symlinks=False):
        return found.left_out.append(LeftOut(entry.path, "neither a file nor a folder"))
    reason = why_no_image(entry.name)
    found.images.append(entry.path) if reason is None else found.left_out.append(LeftOut(entry.path, reason))
    return None


def why_no_image(name: str) -> str | None:
    """Why a file of this name in a folder is not taken for an image; None if it is.

    >>> why_no_image("a.JFIF"), why_no_image("notes.txt"), why_no_image("README")
    (None, 'no image by its ending .txt', 'no image: its name has no ending')
    """
    lower = name.lower()
    if lower.endswith(_USUAL):
        return None
    ending = os.path.splitext(lower)[1]  # noqa: PTH122
    if ending in _IF_PILLOW_CAN:
        return None if ending in _endings_of_pillow() else f"no decoder for {ending} is installed; convert it"
    return f"no image by its ending {ending}" if ending else "no image: its name has no ending"


@cache
def _endings_of_pillow() -> frozenset[str]:
    """What this Pillow decodes of the endings that not all of them do."""
    from PIL import Image

    Image.init()
    known = Image.registered_extensions()
    return frozenset(ending for ending in _IF_PILLOW_CAN if known.get(ending) in Image.OPEN)


def in_words(left_out: Iterable[LeftOut]) -> str:
    """What is left out and why, with a few names for each reason.

    >>> in_words([LeftOut("a/x.txt", "no image by its ending .txt"), LeftOut("a/y.txt", "no image by its ending .txt")])
    '2 no image by its ending .txt (a/x.txt, a/y.txt)'
    """

    def reason(one: LeftOut) -> str:
        return one.reason

    def sentences() -> Iterator[str]:
        for why, group in groupby(sorted(left_out, key=reason), key=reason):
            paths = [one.path for one in group]
            more = ", ..." if len(paths) > _NAMED else ""
            yield f"{len(paths)} {why} ({', '.join(map(printable, paths[:_NAMED]))}{more})"

    return "; ".join(sentences())


def printable(name: str) -> str:
    """A name as any terminal and any log takes it: what is not UTF-8, or breaks lines, is written as an escape.

    >>> printable("a\\nb\\udcff"), printable("Käse")
    ('a\\\\nb\\\\udcff', 'Käse')
    """
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)


def image_files(places: Iterable[str | Path]) -> list[Path]:
    """The files that are meant, in the order given; see `found_files`, which says what is left out too."""
    return found_files(places)[0]


def found_files(places: Iterable[str | Path]) -> tuple[list[Path], list[LeftOut]]:
    """The files that are meant, in the order given, and what is left out of folders.

    Args:
        places: image files; folders, of which all images are taken, those in folders below and behind links too; or
            text files (`.txt`) in UTF-8 with one path a line, relative to the folder of the text file. What is named
            twice is meant twice.

    Raises:
        DataError: if a folder or a list has no image.
    """
    left_out: list[LeftOut] = []
    return [file for place in places for file in _files(Path(place), left_out)], left_out


def _files(place: Path, left_out: list[LeftOut]) -> list[Path]:
    if place.is_dir():
        found = find_images(place)
        if not found.images:
            others = f"; left out: {in_words(found.left_out)}" if found.left_out else ""
            raise DataError(
                f"{place} has no image: of a folder, files ending in {', '.join(SUFFIXES)} are taken{others}"
            )
        left_out += found.left_out
        return sorted(map(Path, found.images))
    return _listed(place) if place.suffix.lower() == ".txt" else [place]


def _listed(place: Path) -> list[Path]:
    try:
        # "utf-8-sig" takes off the mark that Windows' editors begin a file with; names may hold any other character.
        lines = [line.strip(" \t\r") for line in place.read_text(encoding="utf-8-sig").split("\n")]
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise DataError(f"the list {place} cannot be read: {reason}; it takes one path of an image a line") from None
    found = [place.parent / line for line in lines if line]
    if not found:
        raise DataError(f"the list {place} is empty; it takes one path of an image a line")
    return found
