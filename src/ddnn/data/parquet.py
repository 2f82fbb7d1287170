"""Images in parquet files, in the layout that Hugging Face's `datasets` writes.

The encoded images of a split are held in memory as the files store them; labels are read first, images only when
a split is asked for.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from ddnn.data.images import common_side, decode, read_size, sizes, spread
from ddnn.data.splits import Source, Split, arrange, require_folder
from ddnn.errors import DataError
from ddnn_runtime.reading import AS_SHOWN, Reading

IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = ("label", "fine_label")
_EXPECTED = "expected train.parquet and test.parquet (or shards such as train-00000-of-00002.parquet)"


@dataclass(frozen=True)
class ParquetImages:
    """Encoded images in memory.

    Args:
        encoded: a column of bytes.
        names: file and number of rows of each shard, in order, for errors.
    """

    encoded: pa.ChunkedArray
    names: tuple[tuple[str, int], ...]

    def image(self, index: int, channels: int, reading: Reading = AS_SHOWN) -> Tensor:
        """One image, uint8 of shape (channels, height, width)."""
        value = self.encoded[index]
        return decode(value.as_py() or b"", channels, self._name(index), reading)

    def dimensions(self, index: int) -> tuple[int, int]:
        """(height, width) of one image."""
        return read_size(self.encoded[index].as_py() or b"", self._name(index))

    def _name(self, index: int) -> str:
        for name, rows in self.names:
            if index < rows:
                return f"{name}, row {index}"
            index -= rows
        raise AssertionError("an index beyond the last row")


def open_parquet(root: Path) -> Source:
    """Open train.parquet and test.parquet, or Hugging Face's shards (train-00000-of-00002.parquet, ...).

    Columns: `image` or `img`, bytes or a struct with a field `bytes`; `label` or `fine_label`, integers. Class names
    are those of Hugging Face's metadata in the file; without it, the sorted labels of the training images.
    A validation file, where there is one, watches the training, or is the test split if there is no other. Images are
    small by themselves if twenty from all over the first file are, and have one size.

    Raises:
        DataError: files, columns or labels are not like that.
    """
    require_folder(root, _EXPECTED)
    found = {split: _shards(root, split) for split in ("train", "validation", "test")}
    shards = {split: files for split, files in found.items() if files}
    if not shards:
        raise DataError(f"{root} has no images: {_EXPECTED}")
    first = next(iter(shards.values()))
    names = _same_class_names([files[0] for files in shards.values()])
    known = np.arange(len(names)) if names else _distinct_labels(first)
    if not len(known):
        raise DataError(f"{first[0]} has no rows: {_EXPECTED}")
    return Source(
        name=f"parquet:{root}",
        class_names=names or tuple(str(value) for value in known),
        channels=3,
        own_side=lambda tolerant: _own_side(first[0], tolerant),
        splits=arrange({split: lambda files=files: _read(files, known) for split, files in shards.items()}),
        absent=_EXPECTED,
    )


def _shards(root: Path, split: str) -> list[Path]:
    whole = root / f"{split}.parquet"
    return [whole] if whole.is_file() else sorted(root.glob(f"{split}-*.parquet"))


def _schema(file: Path) -> pa.Schema:
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Cannot read {file}: {error}") from None


def _column(file: Path, allowed: tuple[str, ...]) -> str:
    found = _schema(file).names
    for name in allowed:
        if name in found:
            return name
    raise DataError(f"{file} has no column {' or '.join(allowed)}; it has {', '.join(found)}")


def _class_names(file: Path) -> tuple[str, ...] | None:
    label = _column(file, LABEL_COLUMNS)
    try:
        metadata: Any = json.loads((_schema(file).metadata or {})[b"huggingface"])
        names = metadata["info"]["features"][label]["names"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return None
    if not isinstance(names, list):
        return None
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise DataError(f"{file} names more than one class {twice[0]!r}: give each class a name of its own")
    return tuple(str(name) for name in names)


def _same_class_names(files: list[Path]) -> tuple[str, ...] | None:
    names = _class_names(files[0])
    for file in files[1:]:
        if _class_names(file) != names:
            raise DataError(
                f"{files[0]} and {file} name their classes differently in Hugging Face's metadata: "
                "write both with the same ClassLabel feature"
            )
    return names


def _labels(file: Path) -> np.ndarray:
    name = _column(file, LABEL_COLUMNS)
    labels = _table(file, name).column(name)
    if not pa.types.is_integer(labels.type) or labels.null_count:
        raise DataError(
            f"{file}: column {name} must hold integers without gaps, not {labels.type} with {labels.null_count} missing"
        )
    values = labels.to_numpy()
    wrong = np.flatnonzero(values > np.iinfo(np.int64).max)
    if len(wrong):
        raise DataError(f"{file}, row {wrong[0]}: label {values[wrong[0]]} takes more than 64 bits")
    return values.astype(np.int64)


def _distinct_labels(files: list[Path]) -> np.ndarray:
    """The ascending labels of files that do not name their classes."""
    known = np.unique(np.concatenate([_labels(file) for file in files]))
    if -1 in known:
        raise DataError(
            f"{files[0].parent} has the label -1, which stands for an image without a label in Hugging Face's data; "
            "leave such rows out"
        )
    return known


def _class_indices(file: Path, known: np.ndarray) -> np.ndarray:
    """Labels of a file as positions in `known`, the ascending labels that there are."""
    values = _labels(file)
    indices = np.searchsorted(known, values).clip(max=len(known) - 1)
    wrong = np.flatnonzero(known[indices] != values)
    if len(wrong):
        raise DataError(
            f"{file}, row {wrong[0]}: label {values[wrong[0]]} is none of the {len(known)} classes, "
            f"which are numbered {known[0]} to {known[-1]}"
        )
    return indices


def _table(file: Path, column: str) -> pa.Table:
    try:
        return pq.read_table(file, columns=[column])
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Cannot read {file}: {error}") from None


def _encoded(file: Path) -> pa.ChunkedArray:
    name = _column(file, IMAGE_COLUMNS)
    return _bytes(file, name, _table(file, name).column(name))


def _bytes(file: Path, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        field = column.type.get_field_index("bytes")
        column = pa.chunked_array([chunk.flatten()[field] for chunk in column.chunks], column.type.field(field).type)
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise DataError(
            f"{file}: column {name} must hold the bytes of encoded images, or a struct with a field "
            f"`bytes`, not {column.type}"
        )
    return column


def _read(files: list[Path], known: np.ndarray) -> Split:
    labels = np.concatenate([_class_indices(file, known) for file in files])
    columns = [_encoded(file) for file in files]
    chunks = [chunk for column in columns for chunk in column.chunks]
    names = tuple((str(file), len(column)) for file, column in zip(files, columns, strict=True))
    return Split.whole(ParquetImages(pa.chunked_array(chunks, columns[0].type), names), labels)


def _own_side(file: Path, tolerant: bool) -> int | None:
    """The side that images from all over the file have in common, if they are small."""
    try:
        return common_side(sizes(_some_images(file), tolerant))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"Cannot read {file}: {error}") from None


def _some_images(file: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names and contents of a few images of some row groups."""
    name = _column(file, IMAGE_COLUMNS)
    with pq.ParquetFile(file) as parquet:
        rows = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        if not sum(rows):
            raise DataError(f"{file} has no rows")
        for group in spread(len(rows), 4):
            encoded = _bytes(file, name, parquet.read_row_group(group, [name]).column(name))
            for row in spread(len(encoded), 5):
                content = encoded[row].as_py() or b""
                yield f"{file}, row {sum(rows[:group]) + row}", lambda content=content: content
