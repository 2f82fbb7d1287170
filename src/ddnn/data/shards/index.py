"""The index of shards: one parquet file with a row for each image, and what the rows do not say in its metadata.

It comes from wherever the shards come from, so nothing in it is believed before it is checked: paths stay below the
root, images lie within their shard, labels are those of a class. A checksum over all of it finds damage.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from msgspec import Meta

from ddnn.errors import DataError
from ddnn.formats.staging import write_bytes
from ddnn_runtime.documents import Natural
from ddnn_runtime.schema import typed
from ddnn_runtime.sealed_json import sealed, unsealed

FILE = "index.parquet"
Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)
SCHEMA = pa.schema(
    [("shard", pa.int32()), ("key", pa.string()), ("offset", pa.int64()), ("size", pa.int64()), ("label", pa.int32())]
)
"""Of each image: its shard's number, its name there, where its bytes begin, how many they are, and its class."""

_FORMAT = 1
_METADATA = b"ddnn.shards"
_PART = r"[A-Za-z0-9_+=@-][A-Za-z0-9._+=@-]*"
_PATH = re.compile(rf"{_PART}(/{_PART})*\.tar")


@dataclass(frozen=True)
class Shard:
    """One tar file.

    Args:
        split: train, validation or test.
        path: below the root, with / between its parts.
        size: in bytes.
        sha256: of its content, in hexadecimal digits.
    """

    split: Split
    path: str
    size: Natural
    sha256: Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z", description="a SHA-256 in hexadecimal digits")]


@dataclass(frozen=True)
class _Header:
    """What the rows do not say.

    Args:
        format: of the file.
        class_names: one per class, in label order.
        shards: the tar files.
        samples: checksum of the rows.
    """

    format: int
    class_names: tuple[str, ...]
    shards: tuple[Shard, ...]
    samples: str


@dataclass(frozen=True)
class ShardIndex:
    """All shards of a data set, and what is in them.

    Args:
        class_names: one per class, in label order.
        shards: the tar files.
        samples: a row for each image, with the columns of `SCHEMA`, in the order of the shards.
        left_out: the images that are no sample, with why; known only to who makes the index, and not stored.
    """

    class_names: tuple[str, ...]
    shards: tuple[Shard, ...]
    samples: pa.Table
    left_out: tuple[str, ...] = ()

    def column(self, name: str) -> np.ndarray:
        """A column of numbers as int64 of shape (images,)."""
        return self.samples.column(name).to_numpy().astype(np.int64)


def check_path(path: str) -> None:
    """Refuse a path that could lead out of the root, or means something else to a shell or in a URL.

    Raises:
        ValueError: it is not one or more plain names with / between them, the last of which ends in .tar.

    >>> check_path("train/000000.tar")
    >>> check_path("../000000.tar")
    Traceback (most recent call last):
    ...
    ValueError: '../000000.tar' is no path of a shard: it must be letters, digits and ._+=@- with / between folders, \
stay below the root and end in .tar
    """
    if not _PATH.fullmatch(path):
        raise ValueError(
            f"{path!r} is no path of a shard: it must be letters, digits and ._+=@- with / between folders, stay below "
            "the root and end in .tar"
        )


def write_index(index: ShardIndex, path: Path) -> None:
    """Write the file, or over one; OSError if that is not possible."""
    header = asdict(_Header(_FORMAT, index.class_names, index.shards, _digest(index.samples)))
    content = BytesIO()
    pq.write_table(index.samples.replace_schema_metadata({_METADATA: sealed(header)}), content, compression="zstd")
    write_bytes(path, content.getbuffer())


def parse_index(content: bytes, name: str) -> ShardIndex:
    """What `write_index` wrote.

    Args:
        content: of the file.
        name: what an error calls it.

    Raises:
        DataError: it is damaged, or says what cannot be.
    """
    try:
        table = pq.read_table(pa.BufferReader(content))
        header = typed(unsealed((table.schema.metadata or {})[_METADATA].decode()), _Header, closed=(Shard,))
        table = table.replace_schema_metadata(None)
        return _checked(header, table)
    except Exception as error:  # whatever damaged bytes make pyarrow stumble over
        reason = " ".join(str(error).split()) if isinstance(error, ValueError) else repr(error)
        raise DataError(
            f"{name} is damaged or no index of shards ({reason[:300]}): make it anew with ddnn shards index"
        ) from None


def _checked(header: _Header, samples: pa.Table) -> ShardIndex:
    _require(header.format == _FORMAT, f"it has format {header.format}, this version of ddnn reads {_FORMAT}")
    _require(samples.schema.equals(SCHEMA), f"its columns are not {', '.join(SCHEMA.names)}")
    _require(not any(column.null_count for column in samples.columns), "it has gaps")
    samples.validate(full=True)
    _require(header.samples == _digest(samples), "its checksum differs: it was edited or damaged")
    index = ShardIndex(header.class_names, header.shards, samples)
    for shard in index.shards:
        check_path(shard.path)
    _check_samples(index)
    return index


def _check_samples(index: ShardIndex) -> None:
    shard, offset, size, label = (index.column(name) for name in ("shard", "offset", "size", "label"))
    _require_all((shard >= 0) & (shard < len(index.shards)), "it is in no shard")
    sizes = np.array([shard.size for shard in index.shards], dtype=np.int64)
    _require_all((offset >= 0) & (size >= 0) & (size <= sizes[shard] - offset), "it is not within its shard")
    classes = len(index.class_names)
    _require_all((label >= 0) & (label < classes), f"its class is none of the {classes}, which are numbered from 0")
    _require(bool((np.diff(shard) >= 0).all()), "its rows are not in the order of the shards")


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def _require_all(conditions: np.ndarray, message: str) -> None:
    wrong = np.flatnonzero(~conditions)
    _require(not len(wrong), f"row {wrong[0] if len(wrong) else 0}: {message}")


def _digest(samples: pa.Table) -> str:
    """SHA-256 of the rows, however the file stores them."""
    digest = hashlib.sha256()
    for column in samples.columns:
        if pa.types.is_string(column.type):
            texts = column.combine_chunks()
            lengths = pc.call_function("binary_length", [texts])
            together = pc.call_function("binary_join", [pa.ListArray.from_arrays([0, len(texts)], texts), ""])
            digest.update(lengths.to_numpy().tobytes())
            digest.update(together[0].as_buffer())
        else:
            digest.update(column.to_numpy().tobytes())
    return digest.hexdigest()


def table_of(rows: Sequence[tuple[int, str, int, int, int]]) -> pa.Table:
    """Rows of (shard, key, offset, size, label) as a table."""
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    return pa.table([pa.array(list(column), field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)
