"""Images in parquet files, in the layouts that Hugging Face's `datasets` and Hub have.

The encoded images of a split are held in memory as the files store them; labels are read first, images only when
a split is asked for.
"""

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from ddnn.data.images import common_side, decode, read_size, sizes, spread
from ddnn.data.parquet_columns import (
    Classes,
    Columns,
    class_names,
    classes_of,
    column_of,
    labels_of,
    names_of_card,
    unreadable,
    without_label,
)
from ddnn.data.parquet_layout import EXPECTED, find_files
from ddnn.data.splits import Source, Split, arrange, require_folder
from ddnn.errors import DataError, UnreadableImageError
from ddnn_runtime.pixels import read_bytes
from ddnn_runtime.reading import AS_SHOWN, Reading


@dataclass(frozen=True)
class ParquetImages:
    """Encoded images in memory, or files that their rows name.

    Args:
        encoded: a column of bytes.
        names: file and number of rows of each shard, in order, for errors.
        paths: of each image whose bytes are not there; None where all are.
        root: the data set's folder. Paths are relative to the folder of their parquet file, or to this one.
    """

    encoded: pa.ChunkedArray
    names: tuple[tuple[str, int], ...]
    paths: pa.ChunkedArray | None = None
    root: Path = Path()

    def image(self, index: int, channels: int, reading: Reading = AS_SHOWN) -> Tensor:
        """One image, uint8 of shape (channels, height, width)."""
        return decode(self.content(index), channels, self._name(index), reading)

    def dimensions(self, index: int) -> tuple[int, int]:
        """(height, width) of one image."""
        return read_size(self.content(index), self._name(index))

    def content(self, index: int) -> bytes:
        """The bytes of one image; UnreadableImageError if they are in a file that is not there."""
        content = self.encoded[index].as_py() or b""
        if content or self.paths is None or not (path := self.paths[index].as_py()):
            return content
        return read_named(path, self._name(index), (self._place(index)[0].parent, self.root))

    def _name(self, index: int) -> str:
        file, row = self._place(index)
        return f"{file}, row {row}"

    def _place(self, index: int) -> tuple[Path, int]:
        for name, rows in self.names:
            if index < rows:
                return Path(name), index
            index -= rows
        raise AssertionError("an index beyond the last row")


def read_named(path: str, name: str, folders: tuple[Path, ...]) -> bytes:
    """The content of the file that a row names instead of having the image's bytes.

    Raises:
        UnreadableImageError: there is no such file.
    """
    for folder in dict.fromkeys(folders):
        if "\0" not in path and (folder / path).is_file():
            return read_bytes(folder / path)
    raise UnreadableImageError(
        f"Cannot decode {name}: it has the path {path} and no bytes, and there is no such file in "
        f"{' or '.join(map(str, dict.fromkeys(folders)))}: put the images there, or save the data with them embedded"
    )


def open_parquet(root: Path, columns: Columns = Columns()) -> Source:  # noqa: B008  # frozen
    """Open a folder of parquet files: train.parquet and test.parquet, Hugging Face's shards
    (train-00000-of-00002.parquet, ...), or a clone of a Hub repository; see `find_files`.

    Images are bytes, a struct with fields `bytes` and `path`, or paths of files. Labels are what `labels_of` reads.
    Class names are those of Hugging Face's metadata in the file or the repository's README.md; without it, the sorted
    labels of the training images. A row without a label is left out, which is said. A validation file, where there is
    one, watches the training, or is the test split if there is no other with labels. Images are small by themselves if
    twenty from all over the first file are, and have one size.

    Raises:
        DataError: files, columns or labels are not like that.
    """
    require_folder(root, EXPECTED)
    shards = dict(find_files(root))
    absent = EXPECTED + _drop_unlabelled(root, shards, columns)
    first = next(iter(shards.values()))
    classes = _classes(root, list(shards.values()), columns)
    if not classes.names:
        raise DataError(f"{first[0]} has no rows: {EXPECTED}")
    return Source(
        name=f"parquet:{root}",
        class_names=classes.names,
        channels=3,
        own_side=lambda tolerant: _own_side(first[0], root, columns, tolerant),
        splits=arrange(
            {
                split: lambda split=split, files=files: _read(files, root, columns, classes, split)
                for split, files in shards.items()
            }
        ),
        absent=absent,
    )


def _drop_unlabelled(root: Path, shards: dict[str, list[Path]], columns: Columns) -> str:
    """Take out the splits in which no row has a label; gives what an error says of them."""
    dropped = ""
    for split in ("test", "validation"):
        files = shards.get(split, [])
        if files and len(shards) > 1 and not _labelled(files, columns):
            del shards[split]
            word = f"none of the {split} images in {files[0]} has a label"
            scored = "validation" if split == "test" and "validation" in shards else None
            warnings.warn(
                f"{word}: {f'scores are those of the {scored} images of {root}' if scored else 'they are left out'}",
                stacklevel=4,
            )
            dropped += f"; {word}"
    return dropped


def _labelled(files: list[Path], columns: Columns) -> bool:
    """Whether some row has a label; files without rows have none to miss."""
    if not any(columns.has_labels(file) for file in files):
        return False
    labels = [labels_of(file, columns.of_labels(file)) for file in files]
    return not any(map(len, labels)) or not all(without_label(array).all() for array in labels)


def _classes(root: Path, splits: list[list[Path]], columns: Columns) -> Classes:
    """Those that all splits have, or those of the first one's labels."""
    firsts = [(files[0], columns.of_labels(files[0])) for files in splits]
    names = class_names(*firsts[0])
    for file, label in firsts[1:]:
        if class_names(file, label) != names:
            raise DataError(
                f"{firsts[0][0]} and {file} name their classes differently in Hugging Face's metadata: "
                "write both with the same ClassLabel feature"
            )
    names = names or names_of_card(root, firsts[0][1])
    if names:
        return Classes(names, tuple(range(len(names))))
    classes = classes_of([labels_of(file, columns.of_labels(file)) for file in splits[0]], splits[0][0].parent)
    if not classes.names and any(len(column_of(file, columns.of_labels(file))) for file in splits[0]):
        raise DataError(f"no image in {splits[0][0].parent} has a label: all are missing or -1")
    return classes


def _read(files: list[Path], root: Path, columns: Columns, classes: Classes, split: str) -> Split:
    labels = [classes.indices(file, labels_of(file, columns.of_labels(file))) for file in files]
    images = [_images(file, columns) for file in files]
    names = tuple((str(file), len(array)) for file, array in zip(files, labels, strict=True))
    paths = None
    if any(column is not None for _, column in images):
        chunks = [pa.nulls(len(encoded)) if column is None else column for encoded, column in images]
        paths = _joined([chunk.cast(pa.large_string()) for chunk in chunks])
    whole = Split.whole(ParquetImages(_joined([encoded for encoded, _ in images]), names, paths, root),
                        np.concatenate(labels))  # fmt: skip
    return _with_labels(whole, files, split)


def _with_labels(whole: Split, files: list[Path], split: str) -> Split:
    """The rows that have a label; how many have none is said."""
    there = np.flatnonzero(whole.labels >= 0)
    if len(there) == len(whole):
        return whole
    warnings.warn(
        f"{len(whole) - len(there)} of {len(whole)} {split} images in {files[0].parent} are left out: they have no "
        "label (missing or -1)",
        stacklevel=4,
    )
    return whole.take(there)


def _joined(columns: list[pa.ChunkedArray | pa.Array]) -> pa.ChunkedArray:
    """Columns one after the other, as the first one's type, or as the large one where they differ."""
    kinds = {column.type for column in columns}
    kind = columns[0].type if len(kinds) == 1 else pa.large_binary()
    cast = [column if column.type == kind else column.cast(kind) for column in columns]
    return pa.chunked_array(
        [chunk for column in cast for chunk in (column.chunks if isinstance(column, pa.ChunkedArray) else [column])],
        kind,
    )


def _images(file: Path, columns: Columns) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    name = columns.of_images(file)
    return _bytes_and_paths(file, name, column_of(file, name))


def _bytes_and_paths(file: Path, name: str, column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, pa.ChunkedArray | None]:
    """The bytes of a column of images, and the paths for those rows that have none; None where that is no row."""
    kind = column.type
    if _is_text(kind):
        return pa.chunked_array([pa.nulls(len(column), pa.binary())]), column
    paths = None
    if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
        if _is_text(_field(column, "path").type):
            paths = _field(column, "path")
        column = _field(column, "bytes")
    if pa.types.is_null(column.type) and paths is not None:
        column = column.cast(pa.binary())
    if not (pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)):
        raise DataError(
            f"{file}: column {name} must hold the bytes of encoded images, a struct with a field `bytes`, or paths "
            f"of image files, not {column.type}: name another with --image_column"
        )
    return column, paths if column.null_count else None


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _field(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """A field of a column of structs; nulls where there is none of this name."""
    index = column.type.get_field_index(name)
    if index < 0:
        return pa.chunked_array([pa.nulls(len(column))])
    return pa.chunked_array([chunk.flatten()[index] for chunk in column.chunks], column.type.field(index).type)


def _own_side(file: Path, root: Path, columns: Columns, tolerant: bool) -> int | None:
    """The side that images from all over the file have in common, if they are small."""
    try:
        return common_side(sizes(_some_images(file, root, columns), tolerant))
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file, error) from None


def _some_images(file: Path, root: Path, columns: Columns) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Names and contents of a few images of some row groups."""
    name = columns.of_images(file)
    with pq.ParquetFile(file) as parquet:
        rows = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        if not sum(rows):
            raise DataError(f"{file} has no rows")
        for group in spread(len(rows), 4):
            encoded, paths = _bytes_and_paths(file, name, parquet.read_row_group(group, [name]).column(name))
            images = ParquetImages(encoded, ((str(file), len(encoded)),), paths, root)
            for row in spread(len(encoded), 5):
                yield f"{file}, row {sum(rows[:group]) + row}", lambda images=images, row=row: images.content(row)
