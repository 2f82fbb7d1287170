"""Which image stands where in an epoch, as a pure function of (seed, epoch), so that a resumed run is the same run."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ddnn.errors import DataError


def derive_seed(*parts: int) -> int:
    """One well-mixed 63-bit seed from several non-negative numbers, such as (seed, epoch, index)."""
    return int(np.random.SeedSequence([part & (2**64 - 1) for part in parts]).generate_state(1, np.uint64)[0] >> 1)


@dataclass(frozen=True)
class EpochOrder:
    """The order of images in each epoch, cut into batches, for one of several processes.

    Args:
        images: how many there are.
        batch_size: images in a batch of this process.
        seed: of the shuffling.
        training: shuffle, drop a last partial batch unless it is the only one, and give every process equally many.
            Otherwise each image is visited once, in order.
        shard: (rank, number of processes).

    Raises:
        DataError: in training, a process would have no image.
    """

    images: int
    batch_size: int
    seed: int
    training: bool
    shard: tuple[int, int] = (0, 1)

    def __post_init__(self) -> None:
        rank, processes = self.shard
        if not 0 <= rank < processes:
            raise DataError(f"A shard is (rank, number of processes) with 0 <= rank < processes, not {self.shard}")
        if self.training and self.images < processes:
            raise DataError(
                f"{self.images} training images are too few for {processes} processes: each needs at least one"
            )

    def __len__(self) -> int:
        """Number of batches."""
        return -(-self._count // self.batch_size)

    @property
    def _count(self) -> int:
        rank, processes = self.shard
        if not self.training:
            return (self.images - rank + processes - 1) // processes
        count = self.images // processes
        return count if count < self.batch_size else count - count % self.batch_size

    def indices(self, epoch: int) -> Tensor:
        """Image numbers of this process in the order of that epoch: int64 of shape (images of this process,)."""
        rank, processes = self.shard
        if not self.training:
            return torch.arange(rank, self.images, processes)
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
        return torch.randperm(self.images, generator=generator)[rank::processes][: self._count]

    def batches(self, epoch: int) -> tuple[Tensor, ...]:
        """`indices` cut into batches."""
        return self.indices(epoch).split(self.batch_size) if len(self) else ()
