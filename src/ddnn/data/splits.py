"""What every source of images has in common: splits that are read when they are asked for, and held-out parts.

What is held out does not depend on a run's seed, so that runs with different seeds are trained and watched on the
same images.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from ddnn.data.blocks import Blocks
from ddnn.data.images import with_channels
from ddnn.errors import DataError
from ddnn_runtime.image_files import LeftOut
from ddnn_runtime.reading import AS_SHOWN, Reading

_SPLIT_SEED = 0
_Any = TypeVar("_Any")


class Images(Protocol):
    """Images that are decoded one by one, when needed."""

    def image(self, index: int, channels: int, reading: Reading = AS_SHOWN) -> Tensor:
        """uint8 of shape (channels, height, width); UnreadableImageError if it cannot be decoded."""
        ...

    def dimensions(self, index: int) -> tuple[int, int]:
        """(height, width) of one that need not be decoded for that; errors as of `image`."""
        ...


@dataclass(frozen=True)
class ArrayImages:
    """Images that are decoded already: uint8 of shape (images, channels, height, width)."""

    pixels: Tensor

    def image(self, index: int, channels: int, reading: Reading = AS_SHOWN) -> Tensor:
        """One image, uint8 of shape (channels, height, width)."""
        del reading  # the pixels are there already
        return with_channels(self.pixels[index], channels)

    def dimensions(self, index: int) -> tuple[int, int]:
        """(height, width) of one image."""
        del index  # all have one
        return self.pixels.shape[-2], self.pixels.shape[-1]


@dataclass(frozen=True)
class Split:
    """Some images of a source, with their labels.

    Args:
        images: where they are; may hold more than belong to this split.
        indices: which of them belong to it, int64 of shape (count,).
        labels: one for each index, int64 of shape (count,).
        blocks: the remote shards that they are in; None where all are at hand.
        left_out: what is beside them and is not among them, and why.
    """

    images: Images
    indices: np.ndarray
    labels: np.ndarray
    blocks: Blocks | None = None
    left_out: tuple[LeftOut, ...] = ()

    @classmethod
    def whole(cls, images: Images, labels: np.ndarray, left_out: tuple[LeftOut, ...] = ()) -> "Split":
        """All images, one for each label."""
        return cls(images, np.arange(len(labels)), np.asarray(labels, dtype=np.int64), None, left_out)

    def __len__(self) -> int:
        return len(self.indices)

    def image(self, index: int, channels: int, reading: Reading = AS_SHOWN) -> Tensor:
        """One image, uint8 of shape (channels, height, width)."""
        return self.images.image(int(self.indices[index]), channels, reading)

    def label_tensor(self) -> Tensor:
        """int64 of shape (count,)."""
        return torch.from_numpy(np.ascontiguousarray(self.labels))

    def take(self, chosen: np.ndarray) -> "Split":
        """The images at these positions."""
        blocks = self.blocks and self.blocks.take(chosen)
        return replace(self, indices=self.indices[chosen], labels=self.labels[chosen], blocks=blocks)

    def relabelled(self, classes: np.ndarray) -> "Split":
        """With another class for each class, int64 of shape (classes,); images of those that become -1 go."""
        labels = classes[self.labels]
        split, kept = replace(self, labels=labels), labels >= 0
        if kept.all():
            return split
        paths = getattr(self.images, "paths", None)
        gone = self.indices[~kept].tolist()
        left_out = [LeftOut(paths[one] if paths else f"image {one}", "its class is left out") for one in gone]
        return replace(split.take(np.flatnonzero(kept)), left_out=(*self.left_out, *left_out))


@dataclass(frozen=True)
class Source:
    """A data set, before anything is decided about sizes and batches.

    Args:
        name: what errors call it.
        class_names: one per class, in label order.
        channels: 1 if all images are grey, else 3.
        own_side: finds the side of the square that small images have by themselves; None where they are large
            or their sizes differ. It is told whether to pass over images that cannot be read.
        splits: reads "train", "test" and perhaps "validation"; those that are absent are not there.
        absent: what an error says about a split that is not there.
        mirrored: whether a mirrored image still shows its class, so that flipping is on unless switched off.
        named: whether the classes have names; None where only the names themselves tell: digits are numbers.
        called: what each split is called where it comes from, in words for a table.
        undivided: reads all images of a source that has no splits of its own; those that it has are then made.
        left_out: reads what lies outside all splits, and why it is left out.
        notes: what a person should know of the source.
    """

    name: str
    class_names: tuple[str, ...]
    channels: int
    own_side: Callable[[bool], int | None]
    splits: Mapping[str, Callable[[], Split]]
    absent: str
    mirrored: bool = True
    named: bool | None = None
    called: Mapping[str, str] = field(default_factory=dict)
    undivided: Callable[[], Split] | None = None
    left_out: Callable[[], tuple[LeftOut, ...]] = tuple
    notes: tuple[str, ...] = ()

    @property
    def has_names(self) -> bool:
        """Whether the classes have names, and not numbers alone."""
        return not all(name.isdecimal() for name in self.class_names) if self.named is None else self.named

    def as_one(self) -> "Source":
        """The source with all its images as the test split, if it has no splits of its own."""
        if self.undivided is None:
            return self
        return replace(self, splits={"test": self.undivided}, undivided=None, called={"test": "all of them, undivided"})

    def with_classes(self, class_names: tuple[str, ...], classes: np.ndarray) -> "Source":
        """The source with other classes: `classes` has the new one of each, int64 of shape (classes,)."""

        def changed(read: Callable[[], Split]) -> Callable[[], Split]:
            return lambda: read().relabelled(classes)

        splits = {name: changed(read) for name, read in self.splits.items()}
        undivided = self.undivided and changed(self.undivided)
        return replace(self, class_names=class_names, splits=splits, undivided=undivided)

    @cached_property
    def _read(self) -> dict[str, Split]:
        return {}

    def split(self, name: str) -> Split:
        """Read a split, once.

        Raises:
            DataError: it is not there, or has no images.
        """
        if name not in self.splits:
            raise DataError(f"{self.name} has no {name} images: {self.absent}")
        if name not in self._read:
            split = self.splits[name]()
            if not len(split):
                raise DataError(f"{self.name} has no {name} images: that part of it is empty")
            self._read[name] = split
        return self._read[name]


def require_folder(root: Path, expected: str) -> None:
    """Raise a DataError that says what is expected, unless there is such a folder."""
    if not root.is_dir():
        raise DataError(f"There is no folder {root}: {expected}")


def arrange(found: Mapping[str, _Any]) -> dict[str, _Any]:
    """Decide which split is for what: a validation split is the test split where there is no other."""
    splits = dict(found)
    if "test" not in splits and "validation" in splits:
        splits["test"] = splits.pop("validation")
    return splits


def subset(labels: np.ndarray, count: int) -> np.ndarray:
    """Positions of `count` images, the same in each run, with each class's share kept where possible."""
    return np.arange(len(labels)) if count == len(labels) else _divide(labels, count)[0]


def hold_out(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Divide images into those kept and those held out, the same in each run.

    Args:
        labels: int64 of shape (images,).
        share: of the images that is held out, in (0, 1); at least one image is.

    Returns:
        Ascending positions of the kept images and of the others; stratified where each class has enough images.

    Raises:
        DataError: nothing would be kept.
    """
    held = max(1, round(share * len(labels)))
    if held >= len(labels):
        raise DataError(
            f"Holding out {share:g} of {len(labels)} images leaves none to train on: use a smaller share or more images"
        )
    return _divide(labels, len(labels) - held)


def _divide(labels: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.model_selection import train_test_split

    counts = np.unique(labels, return_counts=True)[1]
    stratified = counts.min() >= 2 and min(first, len(labels) - first) >= len(counts)
    left, right = train_test_split(
        np.arange(len(labels)), train_size=first, random_state=_SPLIT_SEED, stratify=labels if stratified else None
    )
    return np.sort(left), np.sort(right)
