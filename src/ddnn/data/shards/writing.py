"""From a folder of images to shards: the files' own bytes, in an order that suits training.

Training images are shuffled, the same way each time, for a block of shards is to be like the whole. The others keep
the folder's order. Nothing about the tars depends on when or by whom they are written.
"""

import io
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

import numpy as np

from ddnn.data.folder import FileImages, open_folder
from ddnn.data.shards.index import FILE, ShardIndex, write_index
from ddnn.data.shards.indexing import index_shards
from ddnn.data.split_names import split_of
from ddnn.data.splits import Split
from ddnn.formats.staging import staged, write_text
from ddnn_runtime.image_files import LeftOut
from ddnn_runtime.pixels import read_bytes

CLASSES = "classes.txt"
"""The names of the classes, one a line: what an index is made anew with."""

DIRECTORIES = {"train": "train", "validation": "val", "test": "test"}
"""Where each split's shards go."""

MIB = 2**20
_BLOCK = tarfile.BLOCKSIZE
_SHUFFLE_SEED = 0
_LONGEST_STEM = 60


def write_shards(folder: Path, output: Path, shard_mib: float = 256) -> tuple[ShardIndex, tuple[LeftOut, ...]]:
    """Write shards and their index; the folder appears once all of it is there.

    Args:
        folder: of images, as `folder:PATH` takes it.
        output: what to make; nothing is there, or an empty folder.
        shard_mib: about the size of a shard, in MiB; it is larger only if a single image is.

    Returns:
        What was written, read back; and what was left out of the folder, and why.

    Raises:
        DataError: the folder's images cannot be read.
        DDNNError: `output` exists.
        OSError: it cannot be written.
    """
    source = open_folder(folder)
    with staged(output, "folder") as stage:
        paths, left_out = {}, list(source.left_out())
        for name in source.splits:
            split, own_name = source.split(name), split_of(source.called.get(name, "").removesuffix("/")) or name
            left_out += split.left_out
            place = stage / DIRECTORIES[own_name]
            place.mkdir()
            order = np.arange(len(split))
            if name == "train":
                order = np.random.default_rng(_SHUFFLE_SEED).permutation(order)
            written = _write(_members(split, order), place, int(shard_mib * MIB))
            paths[own_name] = [path.relative_to(stage).as_posix() for path in written]
        index = index_shards(str(stage), paths, source.class_names)
        write_text(stage / CLASSES, "".join(f"{name}\n" for name in source.class_names))
        write_index(index, stage / FILE)
    return index, tuple(left_out)


def _members(split: Split, order: np.ndarray) -> Iterator[tuple[str, bytes, int]]:
    """(name in the tar, bytes, label) of each image."""
    assert isinstance(split.images, FileImages)
    for position in order:
        path = PurePath(split.images.paths[split.indices[position]])
        stem = re.sub(r"[^A-Za-z0-9_-]", "_", path.stem)[:_LONGEST_STEM]
        yield f"{position:07d}-{stem}{path.suffix.lower()}", read_bytes(str(path)), int(split.labels[position])


def _write(members: Iterable[tuple[str, bytes, int]], folder: Path, most: int) -> list[Path]:
    """The shards that were written."""
    paths: list[Path] = []
    archive: tarfile.TarFile | None = None
    try:
        for name, content, label in members:
            files = ((name, content), (f"{PurePath(name).stem}.cls", str(label).encode()))
            size = sum(_BLOCK - len(data) // -_BLOCK * _BLOCK for _, data in files)  # a header, and whole blocks
            if archive is None or archive.offset + size + 2 * _BLOCK > most:
                if archive is not None:
                    archive.close()
                paths.append(folder / f"{len(paths):06d}.tar")
                archive = tarfile.open(paths[-1], "w")  # noqa: SIM115  # closed by the next one, or below
            for file, data in files:
                info = tarfile.TarInfo(file)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    finally:
        if archive is not None:
            archive.close()
    return paths
