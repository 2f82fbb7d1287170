"""Remote shards are downloaded before their first image is asked for, so that nobody has to wait at a new block."""

from collections.abc import Iterable, Iterator, Sequence
from threading import Condition, Thread
from typing import TypeVar

import numpy as np
from torch import Tensor

from ddnn.data.blocks import Blocks
from ddnn.errors import DataError

_THREADS = 4  # a single connection to an object store gives some 50 to 100 MB/s
_Rest = TypeVar("_Rest")


def fetched_ahead(batches: Sequence[tuple[Tensor, _Rest]], blocks: Blocks) -> Iterator[tuple[Tensor, _Rest]]:
    """The batches themselves, while the shards of the next half block's worth of images are fetched in threads.

    With what workers have still to decode of the batches before, that is no more than two blocks at any time.

    Args:
        batches: image numbers, and whatever belongs to them.
        blocks: the shards of the images.
    """
    needs = list(_first_needs(blocks.shard[batch.numpy()] for batch, _ in batches))
    fetching = _Fetching(blocks, needs, reach=len(batches) * blocks.size // max(1, 2 * len(needs)))
    try:
        for number, batch in enumerate(batches):
            fetching.reached(number)
            yield batch
    finally:
        fetching.close()


class _Fetching:
    """Threads that fetch shards, up to some batches ahead of where the reading is.

    What cannot be fetched is left to whoever needs it, and then said.

    Args:
        blocks: how to fetch a shard.
        needs: (number of the first batch that needs it, shard) for each shard, in that order.
        reach: how many batches to look ahead.
    """

    def __init__(self, blocks: Blocks, needs: Iterable[tuple[int, int]], reach: int) -> None:
        self._fetch, self._reach, self._reached = blocks.fetch, reach, 0
        self._needs, self._changed = list(reversed(list(needs))), Condition()
        for _ in range(_THREADS):
            Thread(target=self._work, daemon=True).start()

    def reached(self, batch: int) -> None:
        """Say that a batch is asked for now."""
        with self._changed:
            self._reached = batch
            self._changed.notify_all()

    def close(self) -> None:
        """Begin no further download."""
        with self._changed:
            self._needs.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        while (shard := self._take()) is not None:
            try:
                self._fetch(shard)
            except DataError:
                return

    def _take(self) -> int | None:
        """The next shard, once it is near enough; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: not self._needs or self._needs[-1][0] <= self._reached + self._reach)
            return self._needs.pop()[1] if self._needs else None


def _first_needs(batches: Iterable[np.ndarray]) -> Iterator[tuple[int, int]]:
    """(number of the first batch that has it, shard), as the shards come up.

    >>> list(_first_needs([np.array([7, 7]), np.array([3, 7]), np.array([5, 3])]))
    [(0, 7), (1, 3), (2, 5)]
    """
    seen: set[int] = set()
    for number, shards in enumerate(batches):
        for shard in sorted(set(shards.tolist()) - seen):
            seen.add(shard)
            yield number, shard
