"""Which folder of a data set is which split, by its name: there is no one way in which the world writes them.

Class folders that are named like splits would silently become classes, and splits that are named unlike any known would
too. So what could be either is refused, with the names.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path

from ddnn.errors import DataError
from ddnn_runtime.image_files import find_images, is_hidden, printable, why_no_image

NAMES: dict[str, tuple[str, ...]] = {
    "train": ("train", "training", "trainset"),
    "validation": ("val", "valid", "validation", "valset", "dev", "devel"),
    "test": ("test", "testing", "testset"),
}
"""What the folder of a split may be called, in lower or upper case; `_set`, `_images` and `_data` may follow."""

_SPLITS = {name: split for split, names in NAMES.items() for name in names}
_TAIL = re.compile(r"[\s_.-]*(sets?|images?|imgs?|data|splits?)$")
_NO_LETTERS = re.compile(r"[^a-z]+")


def split_of(name: str) -> str | None:
    """The split that a folder of this name is: train, validation, test or None.

    >>> [split_of(name) for name in ("Training", "valid", "DEV", "test_set", "cat")]
    ['train', 'validation', 'validation', 'test', None]
    """
    plain = unicodedata.normalize("NFKC", name).casefold().strip()
    return _SPLITS.get(plain) or _SPLITS.get(_TAIL.sub("", plain))


def split_folders(root: Path) -> dict[str, Path]:
    """The folders below `root` that are splits, by split: train, validation, test; empty where there are none.

    Raises:
        DataError: two of them are the same split, or stand beside class folders.
    """
    folders = sorted(entry for entry in root.iterdir() if not is_hidden(entry.name) and entry.is_dir())
    found: dict[str, Path] = {}
    for folder in folders:
        split = split_of(folder.name)
        if split in found:
            raise DataError(
                f"{root} has two folders that are {split} images by their names, {listed([found[split], folder])}: "
                "move one away, or rename it"
            )
        if split:
            found[split] = folder
    _check_beside(root, found, [folder for folder in folders if folder not in found.values()])
    return {split: found[split] for split in NAMES if split in found}


def _check_beside(root: Path, splits: Mapping[str, Path], others: list[Path]) -> None:
    """Refuse a folder named like a split that is as likely a class: beside others with images, itself without classes,
    or without a split to train on."""
    classes = [folder for folder in others if _has_images(folder)] if splits else []
    if not classes:
        return
    doubtful = [folder for folder in splits.values() if not _has_folders(folder)]
    if doubtful or "train" not in splits:
        raise DataError(
            f"{root} has {listed(doubtful or splits.values())}, named like a split, beside the class folders "
            f"{listed(classes)}: are they classes or splits? Put all class folders into a folder called train, or "
            "rename those that are no splits"
        )


def check_classes(folder: Path, names: Iterable[str]) -> None:
    """Refuse class folders that are named like splits throughout, such as seg_train and seg_test.

    Raises:
        DataError: they are.
    """
    names = list(names)
    if names and all(_sounds_like_a_split(name) for name in names):
        shown = ", ".join(map(printable, names[:5]))
        raise DataError(
            f"the class folders of {folder} are named like splits ({shown}): give the folder that has them by names "
            "such as train/, val/ and test/, with one folder a class in each; or rename them, if they are classes"
        )


def _sounds_like_a_split(name: str) -> bool:
    words = _NO_LETTERS.split(unicodedata.normalize("NFKC", name).casefold())
    return split_of(name) is not None or any(word in _SPLITS for word in words)


def _has_images(folder: Path) -> bool:
    """Whether there are images in this very folder."""
    return any(not is_hidden(entry.name) and why_no_image(entry.name) is None for entry in folder.iterdir())


def _has_folders(folder: Path) -> bool:
    return any(entry.is_dir() and not is_hidden(entry.name) for entry in folder.iterdir())


def has_images_alone(folder: Path) -> bool:
    """Whether a folder has images, and no class folders that they could be in."""
    return not _has_folders(folder) and bool(find_images(folder).images)


def listed(folders: Iterable[Path]) -> str:
    """A few names of folders, for a message."""
    names = [f"{printable(folder.name)}/" for folder in folders]
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
