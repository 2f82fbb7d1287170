"""What all loaders have in common."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from torch import Tensor


class Loader(Protocol):
    """Batches of prepared images and their labels, the same for the same (seed, epoch)."""

    def __len__(self) -> int:
        """Number of batches."""
        ...

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Choose the order and the augmentation of the next iteration, which leaves out the batches before `first`;
        without it, each is epoch 0."""
        ...

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images float32 of shape (batch, channels, height, width), labels int64 of shape (batch,), or, where
        images are mixed, the classes' shares, float32 of shape (batch, classes))."""
        ...


class Views(NamedTuple):
    """A batch of training images as the full net sees them, and the same images as sub-nets do.

    Args:
        images: float32 of shape (batch, channels, height, width).
        labels: class numbers, (batch,), or, where images are mixed, the classes' shares, (batch, classes).
        subnet_images: the same crops, mirrored or not as there, and changed no further; of the same shape.
        subnet_labels: their class numbers, (batch,).
    """

    images: Tensor
    labels: Tensor
    subnet_images: Tensor
    subnet_labels: Tensor


class TrainingLoader(Loader, Protocol):
    """Batches of training images, for all nets alike, or with a view for sub-nets."""

    def views(self) -> Iterator[Views]:
        """Like an iteration, but with what sub-nets see."""
        ...


class WithViews:
    """Iterates over the views of a loader."""

    def __init__(self, loader: TrainingLoader) -> None:
        self._loader = loader

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._loader)

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """See `Loader`."""
        self._loader.set_epoch(epoch, first)

    def __iter__(self) -> Iterator[Views]:
        """See `TrainingLoader.views`."""
        return self._loader.views()
