"""Images that lie in shards on a server, gone through a few shards at a time, so that few have to be kept here.

Shards are put into a random order and cut into blocks, and the images of a block are shuffled among each other. How
near that comes to shuffling everything depends on the blocks and on how the images were put into the shards; MosaicML
Streaming's `py1b` is of this kind.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Generator, Tensor


@dataclass(frozen=True)
class Blocks:
    """The remote shards that images are in.

    Args:
        shard: number of each image's shard, int64 of shape (images,).
        size: shards in a block.
        fetch: brings a shard to this machine, unless it is there or on its way; DataError if that cannot be done.
    """

    shard: np.ndarray
    size: int
    fetch: Callable[[int], None]

    def take(self, chosen: np.ndarray) -> "Blocks":
        """Those of the images at these positions."""
        return replace(self, shard=self.shard[chosen])

    def shuffled(self, generator: Generator) -> Tensor:
        """The images in a new order: int64 of shape (images,).

        >>> blocks = Blocks(np.array([0, 0, 1, 1, 2, 2]), 2, print)
        >>> order = blocks.shuffled(torch.Generator().manual_seed(0))
        >>> sorted(order.tolist()), len(set(blocks.shard[order[:4]].tolist()))
        ([0, 1, 2, 3, 4, 5], 2)
        """
        shards, shard = np.unique(self.shard, return_inverse=True)
        block = torch.randperm(len(shards), generator=generator) // self.size
        order = torch.randperm(len(shard), generator=generator)
        return order[torch.argsort(block[torch.from_numpy(shard)[order]], stable=True)]
