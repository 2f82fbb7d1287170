"""Images in folders, one folder a class, in the layout of torchvision's `ImageFolder`."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from torch import Tensor

from ddnn.data.images import common_side, decode_file, read_size, sizes, spread
from ddnn.data.splits import Source, Split, arrange, hold_out, require_folder
from ddnn.errors import DataError
from ddnn_runtime.pixels import read_bytes
from ddnn_runtime.reading import AS_SHOWN, Reading

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of image files, in lower or upper case; other files are left alone."""

_CLASSES_LOOKED_AT = 20
_SPLIT_FOLDERS = {"train": "train", "validation": "val", "test": "test"}
_EXPECTED = "expected train/CLASS/*.jpg and val/CLASS/*.jpg, or val/ alone to evaluate"


@dataclass(frozen=True)
class FileImages:
    """Image files, decoded when needed."""

    paths: tuple[str, ...]

    def image(self, index: int, channels: int, reading: Reading = AS_SHOWN) -> Tensor:
        """One image, uint8 of shape (channels, height, width)."""
        return decode_file(self.paths[index], channels, reading)

    def dimensions(self, index: int) -> tuple[int, int]:
        """(height, width) of one image."""
        return read_size(read_bytes(self.paths[index]), self.paths[index])


def open_folder(root: Path) -> Source:
    """Open a folder of image folders.

    - train/ and val/: val/ is the test split; what watches the training is held out from train/.
    - train/, val/ and test/: each is what its name says.
    - val/ or test/ alone: can be evaluated on, not trained on.
    - class folders without such a level above them: a fifth of the images are the test split, the same in each run,
      with each class's share kept. Each class needs two images for that.

    Images are small by themselves if the first one of each of up to 20 classes is, and has the size of the others.

    Raises:
        DataError: the folder has none of these layouts, or the classes of its splits differ.
    """
    require_folder(root, _EXPECTED)
    folders = {split: root / name for split, name in _SPLIT_FOLDERS.items() if (root / name).is_dir()}
    if not folders:
        return _open_undivided(root)
    classes = {folder: _class_names(folder) for folder in folders.values()}
    first, *others = classes
    for other in others:
        _check_same(first, classes[first], other, classes[other])
    return Source(
        name=f"folder:{root}",
        class_names=classes[first],
        channels=3,
        own_side=lambda tolerant: _own_side(first, classes[first], tolerant),
        splits=arrange(
            {split: lambda folder=folder: _read(folder, classes[first]) for split, folder in folders.items()}
        ),
        absent=_EXPECTED,
    )


def _open_undivided(root: Path) -> Source:
    names = _class_names(root)
    whole = _read(root, names)
    counts = np.bincount(whole.labels, minlength=len(names))
    if counts.min() < 2:
        lacking = f"{counts.min()} image of class {names[int(counts.argmin())]}"
        raise DataError(
            f"{root} has no train/ or val/, and with {lacking} it cannot be divided into training and test "
            f"images, which takes two of each class: {_EXPECTED}"
        )
    train, test = hold_out(whole.labels, 0.2)
    return Source(
        name=f"folder:{root}",
        class_names=names,
        channels=3,
        own_side=lambda tolerant: _own_side(root, names, tolerant),
        splits={"train": lambda: whole.take(train), "test": lambda: whole.take(test)},
        absent=_EXPECTED,
    )


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{folder} has no class folders: {_EXPECTED}")
    return tuple(names)


def _check_same(first: Path, names: Iterable[str], second: Path, others: Iterable[str]) -> None:
    only = [(first, sorted(set(names) - set(others))), (second, sorted(set(others) - set(names)))]
    differences = [
        f"only in {folder}: {', '.join(some[:5])}{', ...' if len(some) > 5 else ''}" for folder, some in only if some
    ]
    if differences:
        raise DataError(f"The class folders of {first} and {second} differ; {'; '.join(differences)}")


def _read(folder: Path, names: tuple[str, ...]) -> Split:
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(names):
        found = _image_files(folder / name)
        if not found:
            raise DataError(f"{folder / name} has no images: expected files that end in {', '.join(EXTENSIONS)}")
        paths += found
        labels += [label] * len(found)
    return Split.whole(FileImages(tuple(paths)), np.array(labels))


def _image_files(folder: Path) -> list[str]:
    """Paths in order, found without asking the disk about each file: ImageNet has 1.3 million."""
    return sorted(
        os.path.join(parent, name)  # noqa: PTH118  # as text, for the same reason
        for parent, _, names in os.walk(folder)
        for name in names
        if name.lower().endswith(EXTENSIONS) and not name.startswith(".")
    )


def _own_side(folder: Path, names: tuple[str, ...], tolerant: bool) -> int | None:
    """The side that the first images of some classes have in common, if they are small."""
    firsts = [
        next(sizes(((path, partial(read_bytes, path)) for path in _image_files(folder / names[place])), tolerant), None)
        for place in spread(len(names), _CLASSES_LOOKED_AT)
    ]
    return common_side(size for size in firsts if size is not None)
