"""What all loaders have in common."""

from collections.abc import Iterator
from typing import Protocol

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
