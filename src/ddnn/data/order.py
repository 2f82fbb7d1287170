"""Which image stands where in an epoch, as a pure function of (seed, epoch), so that a resumed run is the same run."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ddnn.data.balance import Balance
from ddnn.data.blocks import Blocks
from ddnn.errors import DataError


def derive_seed(*parts: int) -> int:
    """One well-mixed 63-bit seed from several non-negative numbers, such as (seed, epoch, index)."""
    return int(np.random.SeedSequence([part & (2**64 - 1) for part in parts]).generate_state(1, np.uint64)[0] >> 1)


@dataclass(frozen=True)
class EpochOrder:
    """The order of images in each epoch, cut into batches, for one of several processes.

    All processes and parts together see the batches of one process that computes each batch at once: how many there
    are changes who computes what, and nothing else.

    Args:
        images: how many there are.
        batch_size: images in a batch, those of all processes together.
        seed: of the shuffling.
        training: shuffle, drop a last partial batch unless it is the only one, and give every process equally many.
            Otherwise each image is visited once, in order.
        share: (rank, number of processes).
        parts: each batch comes in so many parts, one after another; in training only.
        repeats: in training, an epoch has so many samples of each of a part of the images, in one batch, in place of
            one of each (repeated augmentation: Hoffer et al., arXiv 1901.09335). A batch has all its images once before
            one comes again, so that those which are mixed with their neighbours are not mixed with themselves; where
            repeats do not divide the batch, some images have one sample fewer.
        blocks: remote shards that the images are in, a few of which are gone through at a time; None shuffles all
            images together.
        balance: in training, have all classes come equally often; None has each image come once.

    Raises:
        DataError: in training, the batches cannot be divided among processes and parts.
    """

    images: int
    batch_size: int
    seed: int
    training: bool
    share: tuple[int, int] = (0, 1)
    parts: int = 1
    repeats: int = 1
    blocks: Blocks | None = None
    balance: Balance | None = None

    def __post_init__(self) -> None:
        rank, processes = self.share
        if not 0 <= rank < processes:
            raise DataError(f"A share is (rank, number of processes) with 0 <= rank < processes, not {self.share}")
        if not self.training:
            return
        shares = processes * self.parts
        among = "1 process" if processes == 1 else f"{processes} processes"
        among += f" with {self.parts} parts each (accumulate)" if self.parts > 1 else ""
        if self.images < shares:
            raise DataError(f"{self.images} training images are too few for {among}: each needs at least one")
        if self.batch_size % shares:
            raise DataError(
                f"a batch_size of {self.batch_size} images cannot be divided among {among}: give a multiple of {shares}"
            )

    def __len__(self) -> int:
        """Number of batches of this process; of parts, where batches have several."""
        return -(-self._own_count // self._own_batch)

    def whole_batches(self) -> Iterator[tuple[int, list[slice]]]:
        """For each batch: its images, those of all processes and parts together; where in it each part of this process
        is."""
        rank, processes = self.share
        part = self._own_batch * processes
        for first in range(0, self._count, part * self._parts):
            count = min(part * self._parts, self._count - first)
            yield count, [slice(start + rank, start + part, processes) for start in range(0, count, part)]

    @property
    def _count(self) -> int:
        """Images that an epoch visits, by all processes."""
        if not self.training:
            return self.images
        whole = self.share[1] * self.parts if self.images < self.batch_size else self.batch_size
        return self.images - self.images % whole

    @property
    def _own_count(self) -> int:
        rank, processes = self.share
        return (self._count - rank + processes - 1) // processes

    @property
    def _batch(self) -> int:
        """Samples in a batch of all processes and parts."""
        return min(self.batch_size, self._count) if self.training else self.batch_size

    @property
    def _distinct(self) -> int:
        """Images that a batch of training has samples of."""
        return -(-self._batch // self.repeats)

    @property
    def _own_batch(self) -> int:
        return max(1, self._batch // (self.share[1] * self._parts))

    @property
    def _parts(self) -> int:
        return self.parts if self.training else 1

    def indices(self, epoch: int) -> Tensor:
        """Image numbers of this process in the order of that epoch: int64 of shape (images of this process,)."""
        rank, processes = self.share
        if not self.training:
            return torch.arange(rank, self.images, processes)
        return self._visited(epoch)[rank::processes]

    def _visited(self, epoch: int) -> Tensor:
        """Image numbers of all processes and parts, in training."""
        generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
        order = self._shuffled(generator)
        batch, distinct = self._batch, self._distinct
        chosen = order[: self._count // batch * distinct].view(-1, distinct)
        return chosen.repeat(1, self.repeats)[:, :batch].flatten()

    def _shuffled(self, generator: torch.Generator) -> Tensor:
        if self.balance is not None:
            return self.balance.shuffled(generator)
        return self.blocks.shuffled(generator) if self.blocks else torch.randperm(self.images, generator=generator)

    def occurrences(self, epoch: int = 0) -> Tensor:
        """The how-manieth sample of its image each of `indices` is, from 0: int64 of the same shape. It depends on the
        epoch where classes are balanced alone."""
        rank, processes = self.share
        places = torch.arange(rank, self._count, processes)
        if not self.training:
            return torch.zeros_like(places)
        if self.balance is not None:
            return _times_before(self._visited(epoch))[rank::processes]
        return places % self._batch // self._distinct

    def batches(self, epoch: int, device: torch.device | None = None) -> tuple[Tensor, ...]:
        """`indices` cut into batches, or into the parts of batches; on a device, where one copy brings those of the
        whole epoch: each copy would have the host wait for a GPU."""
        return self.indices(epoch).to(device).split(self._own_batch) if len(self) else ()


def _times_before(numbers: Tensor) -> Tensor:
    """How often each number has come before: int64 of the same shape.

    >>> _times_before(torch.tensor([7, 3, 7, 7, 3]))
    tensor([0, 0, 1, 2, 1])
    """
    order = torch.argsort(numbers, stable=True)
    _, counts = torch.unique_consecutive(numbers[order], return_counts=True)
    first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
    before = torch.empty_like(numbers)
    before[order] = torch.arange(len(numbers)) - first
    return before
