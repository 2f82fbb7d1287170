"""Shards as a source of images: each split is the rows of the index that are in its shards."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Protocol

import numpy as np
import pyarrow as pa
from torch import Tensor

from ddnn.config import ShardsConfig
from ddnn.data.blocks import Blocks
from ddnn.data.images import common_side, decode, read_size, sizes, spread
from ddnn.data.shards.cache import GIB, ShardCache, default_folder
from ddnn.data.shards.index import FILE, SPLITS, Shard, ShardIndex, parse_index
from ddnn.data.shards.remote import NotThereError, check_url, is_remote, read_bytes
from ddnn.data.splits import Source, Split, arrange, require_folder
from ddnn.errors import DataError
from ddnn_runtime.reading import AS_SHOWN, Reading

_EXPECTED = "expected shards such as train/000000.tar, and index.parquet"
_LOOKED_AT = 20


class Store(Protocol):
    """Where shards are."""

    def open(self, shard: Shard) -> IO[bytes]:
        """The shard, for reading; DataError if it cannot be opened."""
        ...

    def name(self, shard: Shard) -> str:
        """What messages call it."""
        ...


@dataclass(frozen=True)
class LocalShards:
    """Shards on this machine.

    Args:
        root: the folder that their paths are below.
    """

    root: Path

    def open(self, shard: Shard) -> IO[bytes]:
        """The shard, for reading.

        Raises:
            DataError: it is missing, or was changed since it was indexed.
        """
        path = self.root / shard.path
        try:
            file = path.open("rb", buffering=0)
        except OSError as error:
            raise DataError(f"Cannot read {path}: {error.strerror or error}") from None
        size = os.fstat(file.fileno()).st_size
        if size != shard.size:
            file.close()
            raise DataError(
                f"{path} has {size} bytes, and {shard.size} by the index: it was changed; index anew with "
                f"ddnn shards index {self.root}"
            )
        return file

    def name(self, shard: Shard) -> str:
        """Its path."""
        return str(self.root / shard.path)


@dataclass(frozen=True)
class ShardImages:
    """Encoded images in shards, read and decoded when needed.

    Args:
        store: where the shards are.
        shards: all of them, by number.
        keys: of the images.
        shard: number of each one's shard, int64 of shape (images,).
        offset: of each one's first byte, likewise.
        size: of each one in bytes, likewise.
    """

    store: Store
    shards: tuple[Shard, ...]
    keys: pa.ChunkedArray
    shard: np.ndarray
    offset: np.ndarray
    size: np.ndarray

    def encoded(self, index: int) -> bytes:
        """The bytes of one image; DataError if its shard cannot be read."""
        shard = self.shards[self.shard[index]]
        with self.store.open(shard) as file:
            try:
                return os.pread(file.fileno(), int(self.size[index]), int(self.offset[index]))
            except OSError as error:
                raise DataError(f"Cannot read {self.store.name(shard)}: {error.strerror or error}") from None

    def image(self, index: int, channels: int, reading: Reading = AS_SHOWN) -> Tensor:
        """One image, uint8 of shape (channels, height, width)."""
        return decode(self.encoded(index), channels, self.name(index), reading)

    def dimensions(self, index: int) -> tuple[int, int]:
        """(height, width) of one image."""
        return read_size(self.encoded(index), self.name(index))

    def name(self, index: int) -> str:
        """What messages call an image: its shard, and its name there."""
        return f"{self.store.name(self.shards[self.shard[index]])}: {self.keys[index]}"


def open_shards(root: str, config: ShardsConfig) -> Source:
    """Open shards that have an index.

    Splits are divided as in a folder: validation images are the test split where there are no others. Images are
    small by themselves if twenty from all over the first shard are, and have one size.

    Args:
        root: a folder, or a URL that the shards' paths are below.
        config: where remote ones are kept, and where the index is if it is not `root`/index.parquet.

    Raises:
        DataError: there is no index, it is damaged, or the cache cannot hold what training uses at a time.
    """
    root = root.rstrip("/")
    index = _read_index(root, config.index)
    store = _remote(root, config) if is_remote(root) else _local(Path(root).expanduser(), index)
    shard, offset, size = (index.column(name) for name in ("shard", "offset", "size"))
    images = ShardImages(store, index.shards, index.samples.column("key"), shard, offset, size)
    labels = index.column("label")
    splits = [split for split in SPLITS if any(shard.split == split for shard in index.shards)]
    return Source(
        name=f"shards:{root}",
        class_names=index.class_names,
        channels=3,
        own_side=lambda tolerant: _own_side(images, tolerant),
        splits=arrange({split: partial(_read, images, labels, split, config.block) for split in splits}),
        absent=_EXPECTED,
    )


def _read_index(root: str, given: str | None) -> ShardIndex:
    place = given or f"{root}/{FILE}"
    if is_remote(place):
        check_url(place)
        try:
            return parse_index(read_bytes(place), place)
        except NotThereError as error:
            raise DataError(f"{error}; shards need an index: ddnn shards index --help") from None
    if not is_remote(root):
        require_folder(Path(root).expanduser(), _EXPECTED)
    path = Path(place).expanduser()
    try:
        return parse_index(path.read_bytes(), str(path))
    except FileNotFoundError:
        raise DataError(
            f"There is no {path}: make it with ddnn shards index {root}, or write shards from a folder "
            f"of images with ddnn shards write FOLDER OUT"
        ) from None
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror or error}") from None


def _local(root: Path, index: ShardIndex) -> LocalShards:
    inside = os.path.realpath(root)
    for shard in index.shards:
        path = root / shard.path
        if os.path.realpath(path) != os.path.join(inside, shard.path):  # noqa: PTH118  # as text, like realpath's
            raise DataError(f"{path} is a link, or in a folder that is one: shards must lie in {root}")
    return LocalShards(root)


def _remote(root: str, config: ShardsConfig) -> ShardCache:
    check_url(root)
    folder = default_folder() if config.cache is None else Path(config.cache).expanduser()
    return ShardCache(root, folder, int(config.cache_gib * GIB))


def _check_room(cache: ShardCache, shards: Iterable[Shard], block: int) -> None:
    """Two blocks must fit, for whoever fetches ahead is in the next one already."""
    sizes = sorted((shard.size for shard in shards), reverse=True)
    needed = sum(sizes[: 2 * block])
    if needed > cache.most:
        raise DataError(
            f"shards.cache_gib of {cache.most / GIB:.3g} is too little for two blocks of {block} shards: give at "
            f"least {needed / GIB:.3g}, or a smaller --shards.block"
        )


def _read(images: ShardImages, labels: np.ndarray, split: str, block: int) -> Split:
    rows = np.flatnonzero(np.array([shard.split == split for shard in images.shards])[images.shard])
    blocks = None
    if isinstance(images.store, ShardCache):
        if split == "train":
            _check_room(images.store, (shard for shard in images.shards if shard.split == split), block)
        blocks = Blocks(images.shard[rows], block, partial(_fetch, images.store, images.shards))
    return Split(images, rows, labels[rows], blocks)


def _fetch(store: ShardCache, shards: tuple[Shard, ...], number: int) -> None:
    store.fetch(shards[number], wait=False)


def _own_side(images: ShardImages, tolerant: bool) -> int | None:
    first = np.flatnonzero(images.shard == images.shard[:1])
    places = [int(first[place]) for place in spread(len(first), _LOOKED_AT)]
    return common_side(sizes(((images.name(place), partial(images.encoded, place)) for place in places), tolerant))
