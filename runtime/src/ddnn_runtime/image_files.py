"""Which image files a person means by a file, a folder or a list of files."""

from collections.abc import Iterable
from pathlib import Path

from ddnn_runtime.errors import DataError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What in a folder is taken for an image; a file that is named is taken whatever it is called."""


def image_files(places: Iterable[str | Path]) -> list[Path]:
    """The files that are meant, in the order given.

    Args:
        places: image files; folders, of which all images are taken, those in folders below too; or text files
            (`.txt`) in UTF-8 with one path a line, relative to the folder of the text file. What is named twice is
            meant twice.

    Raises:
        DataError: if a folder or a list has no image.
    """
    return [file for place in places for file in _files(Path(place))]


def _files(place: Path) -> list[Path]:
    if place.is_dir():
        found = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
        if not found:
            raise DataError(f"{place} has no image: of a folder, files ending in {', '.join(SUFFIXES)} are taken")
        return found
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
