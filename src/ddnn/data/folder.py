"""Images in folders, one folder a class, in the layout of torchvision's `ImageFolder`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

import numpy as np
from torch import Tensor

from ddnn.data.class_names import listed, places, shown, twins
from ddnn.data.images import common_side, decode_file, read_size, sizes, spread
from ddnn.data.split_names import check_classes, has_images_alone, split_folders
from ddnn.data.splits import Source, Split, arrange, hold_out, require_folder
from ddnn.errors import DataError
from ddnn_runtime.image_files import SUFFIXES, LeftOut, find_images, is_hidden, printable
from ddnn_runtime.pixels import read_bytes
from ddnn_runtime.reading import AS_SHOWN, Reading

_CLASSES_LOOKED_AT = 20
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


@dataclass(frozen=True)
class _ClassFolders:
    """The class folders of one split.

    Args:
        root: the folder that they are in.
        classes: the folders of each class, by its name; several where their names look alike.
    """

    root: Path
    classes: Mapping[str, Sequence[str]]

    def read(self, empty: bool) -> Split:
        """All images, and what is beside them; `empty` says whether a class may have none."""
        paths: list[str] = []
        labels: list[int] = []
        left_out: list[LeftOut] = []
        for label, (name, folders) in enumerate(self.classes.items()):
            found = [find_images(self.root / folder) for folder in folders]
            images = [path for one in found for path in one.images]
            if not images and not empty:
                raise DataError(f"{self.root / name} has no images: expected files that end in {', '.join(SUFFIXES)}")
            paths += images
            labels += [label] * len(images)
            left_out += [path for one in found for path in one.left_out]
        left_out += _beside(self.root)
        return Split.whole(FileImages(tuple(paths)), np.array(labels, dtype=np.int64), tuple(left_out))

    def own_side(self, tolerant: bool) -> int | None:
        """The side that the first images of some classes have in common, if they are small."""
        names = list(self.classes)
        firsts = [
            next(sizes(((path, partial(read_bytes, path)) for path in self._paths(names[place])), tolerant), None)
            for place in spread(len(names), _CLASSES_LOOKED_AT)
        ]
        return common_side(size for size in firsts if size is not None)

    def _paths(self, name: str) -> list[str]:
        return [path for folder in self.classes[name] for path in find_images(self.root / folder).images]


def open_folder(root: Path) -> Source:
    """Open a folder of image folders. Splits are known by the names of their folders, as `split_names` has them.

    - train/ and val/: val/ is the test split; what watches the training is held out from train/.
    - train/, val/ and test/: each is what its name says.
    - val/ or test/ alone: can be evaluated on, not trained on.
    - class folders without such a level above them: one split. To train, a fifth of the images are the test split, the
      same in each run, with each class's share kept. Each class needs two images for that.

    Classes are those of train/. The others may lack some, and names that look alike are one class.

    Images are small by themselves if the first one of each of up to 20 classes is, and has the size of the others.

    Raises:
        DataError: the folder has none of these layouts, or its splits have classes that train/ has not.
    """
    require_folder(root, _EXPECTED)
    folders = split_folders(root)
    if not folders:
        return _open_undivided(root)
    unlabelled = [split for split, folder in folders.items() if len(folders) > 1 and has_images_alone(folder)]
    notes = [f"{folders.pop(split)} has no class folders, so its images are left out" for split in unlabelled]
    names = {split: _class_names(folder) for split, folder in folders.items()}
    first = "train" if "train" in names else max(names, key=lambda split: len(names[split]))
    opened = {first: _ClassFolders(folders[first], {name: [name] for name in names[first]})}
    for other in names.keys() - {first}:
        opened[other], lacking = _compared(opened[first], folders[other], names[other])
        notes += lacking
    splits = arrange({split: partial(opened[split].read, split != "train") for split in folders})
    return Source(
        name=f"folder:{root}",
        class_names=names[first],
        channels=3,
        own_side=opened[first].own_side,
        splits=splits,
        absent=_EXPECTED,
        named=True,
        called={split: f"{printable(folder.name)}/" for split, folder in arrange(folders).items()},
        left_out=cache(lambda: _outside(root, list(folders.values()))),
        notes=(*notes, *_looking_alike(folders[first], names[first])),
    )


def _open_undivided(root: Path) -> Source:
    names = _class_names(root)
    folders = _ClassFolders(root, {name: [name] for name in names})

    @cache
    def whole() -> Split:
        return folders.read(empty=True)

    @cache
    def divided() -> tuple[np.ndarray, np.ndarray]:
        counts = np.bincount(whole().labels, minlength=len(names))
        if not counts.min():
            folders.read(empty=False)  # which says it
        if counts.min() < 2:
            lacking = f"{counts.min()} image of class {shown(names[int(counts.argmin())])}"
            raise DataError(
                f"{root} has no train/ or val/, and with {lacking} it cannot be divided into training and test "
                f"images, which takes two of each class: {_EXPECTED}"
            )
        return hold_out(whole().labels, 0.2)

    fifth = "the fifth that is always held out of class folders without splits"
    return Source(
        name=f"folder:{root}",
        class_names=names,
        channels=3,
        own_side=folders.own_side,
        splits={
            "train": lambda: whole().take(divided()[0]),
            "test": lambda: replace(whole().take(divided()[1]), left_out=()),
        },
        absent=_EXPECTED,
        named=True,
        called={"train": "the other four fifths", "test": fifth},
        undivided=whole,
        notes=_looking_alike(root, names),
    )


def _class_names(folder: Path) -> tuple[str, ...]:
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
    if not names:
        raise DataError(f"{folder} has no class folders: {_EXPECTED}")
    for name in names:
        if not _is_text(name):
            raise DataError(f"{folder} has a class folder whose name is not UTF-8, {name!a}: rename it")
    check_classes(folder, names)
    return tuple(names)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _compared(first: _ClassFolders, folder: Path, names: Sequence[str]) -> tuple[_ClassFolders, list[str]]:
    """The class folders of another split by the names of the first one, and which classes it lacks, in words.

    Raises:
        DataError: it has classes that the first has not.
    """
    known = list(first.classes)
    at = places(names, known)
    strangers = [name for name, place in zip(names, at, strict=True) if place is None]
    lacking = [name for place, name in enumerate(known) if place not in at]
    if strangers:
        only = f"only in {first.root}: {listed(lacking)}; " if lacking else ""
        raise DataError(
            f"The class folders of {first.root} and {folder} differ; {only}only in {folder}: {listed(strangers)}"
        )
    by_class = {
        name: [own for own, where in zip(names, at, strict=True) if where == place] for place, name in enumerate(known)
    }
    note = f"{folder} has no images of {len(lacking)} of the {len(known)} classes: {listed(lacking)}"
    return _ClassFolders(folder, by_class), [note] if lacking else []


def _looking_alike(folder: Path, names: Sequence[str]) -> tuple[str, ...]:
    pairs = [f"{one!a} and {other!a}" for one, other in twins(names)]
    return (f"{folder} has different classes whose names look alike: {'; '.join(pairs[:5])}",) if pairs else ()


def _beside(folder: Path) -> list[LeftOut]:
    """The files beside class folders."""
    files = sorted(entry for entry in folder.iterdir() if not is_hidden(entry.name) and not entry.is_dir())
    return [LeftOut(str(file), "beside the class folders, so it has no class") for file in files]


def _outside(root: Path, splits: Sequence[Path]) -> tuple[LeftOut, ...]:
    """What is in none of the splits."""
    left_out = []
    for entry in sorted(root.iterdir()):
        if is_hidden(entry.name) or entry in splits:
            continue
        reason = f"outside of {', '.join(f'{printable(folder.name)}/' for folder in splits)}"
        below = find_images(entry) if entry.is_dir() else None
        paths = [str(entry)] if below is None else [*below.images, *(one.path for one in below.left_out)]
        left_out += [LeftOut(path, reason) for path in sorted(paths)]
    return tuple(left_out)
