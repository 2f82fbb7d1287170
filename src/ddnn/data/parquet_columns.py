"""What the columns of parquet files hold: which one has the images, which one the labels, and what a label may be."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ddnn.data.parquet_layout import read_card
from ddnn.errors import DataError

IMAGE_COLUMNS: Final = ("image", "img", "pixel_values", "jpg", "jpeg", "png", "webp")
LABEL_COLUMNS: Final = ("label", "labels", "fine_label", "class", "target", "cls")
"""Tried in this order, first as they are, then in any case."""
_POINTER = b"version https://git-lfs"


@dataclass(frozen=True)
class Columns:
    """Which columns are meant.

    Args:
        image: name of that with the images; None means one of `IMAGE_COLUMNS`.
        label: name of that with the labels; None means one of `LABEL_COLUMNS`.
    """

    image: str | None = None
    label: str | None = None

    def of_images(self, file: Path) -> str:
        """The column with the images; DataError if there is none."""
        return _found(file, "image", self.image, IMAGE_COLUMNS, "Image")

    def of_labels(self, file: Path) -> str:
        """The column with the labels; DataError if there is none."""
        return _found(file, "label", self.label, LABEL_COLUMNS, "ClassLabel")

    def has_labels(self, file: Path) -> bool:
        """Whether there is a column with labels; one that is named must be there wherever images are scored."""
        names = schema_of(file).names
        return bool(_usual(file, self.label, LABEL_COLUMNS, "ClassLabel")) or self.label in names


def schema_of(file: Path) -> pa.Schema:
    """The columns of a file.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file, error) from None


def unreadable(file: Path, error: Exception) -> DataError:
    """What is said of a file that cannot be read."""
    try:
        with file.open("rb") as stream:
            pointer = stream.read(len(_POINTER)) == _POINTER
    except OSError:
        pointer = False
    if pointer:
        return DataError(f"{file} is a pointer of Git LFS, not the file itself: run git lfs pull in the clone")
    return DataError(f"Cannot read {file}: {error}")


def column_of(file: Path, name: str) -> pa.ChunkedArray:
    """One column of a file; DataError if it cannot be read."""
    try:
        return pq.read_table(file, columns=[name]).column(name)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(file, error) from None


def _found(file: Path, what: str, named: str | None, usual: tuple[str, ...], feature: str) -> str:
    names = schema_of(file).names
    candidates = [named] if named in names else _usual(file, named, usual, feature)
    if not candidates:
        raise DataError(
            f"{file} has no column {named or ' or '.join(usual)}; it has {', '.join(names)}: name the one that is "
            f"meant with --{what}_column"
        )
    if names.count(str(candidates[0])) > 1:
        raise DataError(f"{file} has {names.count(str(candidates[0]))} columns {candidates[0]}: keep one of them")
    if len(candidates) > 1:
        _mention(str(file.parent), what, tuple(map(str, candidates)))
    return str(candidates[0])


def _usual(file: Path, named: str | None, usual: tuple[str, ...], feature: str) -> list[str]:
    """The columns with a usual name; without one, the only column that Hugging Face's metadata say is of the kind."""
    if named is not None:
        return []
    names = schema_of(file).names
    lower = [name for wanted in usual for name in names if name.lower() == wanted and name != wanted]
    found = [wanted for wanted in usual if wanted in names] + lower
    if found:
        return found
    features = [name for name, entry in features_of(file).items() if entry.get("_type") == feature and name in names]
    return features if len(features) == 1 else []


@cache
def _mention(folder: str, what: str, candidates: tuple[str, ...]) -> None:
    """Say once which of several columns is taken."""
    warnings.warn(
        f"{folder}: the files have the columns {', '.join(candidates)}; {candidates[0]} is taken for the {what}s: name "
        f"another with --{what}_column",
        stacklevel=5,
    )


def features_of(file: Path) -> Mapping[str, Mapping[str, Any]]:
    """What Hugging Face's metadata say of the columns; nothing where there are none."""
    try:
        document: Any = json.loads((schema_of(file).metadata or {})[b"huggingface"])
        features = document["info"]["features"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return {}
    entries = features.items() if isinstance(features, dict) else ()
    return {str(name): entry for name, entry in entries if isinstance(entry, dict)}


def class_names(file: Path, label: str) -> tuple[str, ...] | None:
    """The names that Hugging Face's metadata in the file give the classes; None without.

    Raises:
        DataError: two classes have one name.
    """
    return _distinct(file, features_of(file).get(label, {}).get("names"))


def names_of_card(root: Path, label: str) -> tuple[str, ...] | None:
    """The names that the README.md of a Hub repository gives the classes; None without, or with several data sets."""
    info = read_card(root).get("dataset_info")
    if isinstance(info, list) and len(info) == 1:
        info = info[0]
    features = info.get("features") if isinstance(info, dict) else None
    for entry in features if isinstance(features, list) else ():
        try:
            if entry["name"] == label:
                names = entry["dtype"]["class_label"]["names"]
                ordered = [names[number] for number in sorted(names, key=int)] if isinstance(names, dict) else names
                return _distinct(root / "README.md", ordered)
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _distinct(file: Path, names: Any) -> tuple[str, ...] | None:
    if not isinstance(names, list):
        return None
    if twice := sorted({str(name) for name in names if names.count(name) > 1}):
        raise DataError(f"{file} names more than one class {twice[0]!r}: give each class a name of its own")
    return tuple(str(name) for name in names)


def labels_of(file: Path, name: str) -> pa.Array:
    """The labels of a file, as int64 or text; null where a row has none.

    Whole numbers of any type, floating-point numbers that are whole, truth values, texts, and dictionaries of these.
    NaN, and a text of nothing but spaces, are no label.

    Raises:
        DataError: the column holds something else.
    """
    column = column_of(file, name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind, labels = column.type, column.combine_chunks() if column.num_chunks else pa.array([], column.type)
    if isinstance(labels, pa.ChunkedArray):
        labels = labels.chunk(0) if labels.num_chunks else pa.array([], kind)
    if pa.types.is_integer(kind) or pa.types.is_boolean(kind) or pa.types.is_null(kind):
        return _whole(file, labels)
    if pa.types.is_floating(kind):
        return _of_floats(file, name, labels)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        texts = labels.cast(pa.large_string())
        trimmed = pc.call_function("utf8_trim_whitespace", [texts])
        empty = pc.call_function("equal", [trimmed, pa.scalar("", pa.large_string())])
        return pc.call_function("if_else", [empty, pa.scalar(None, pa.large_string()), texts])
    raise DataError(f"{file}: column {name} must hold one whole number or text a row, not {kind}")


def _whole(file: Path, labels: pa.Array) -> pa.Array:
    if pa.types.is_uint64(labels.type):
        values = labels.fill_null(0).to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(values > np.iinfo(np.int64).max)
        if len(wrong):
            raise DataError(f"{file}, row {wrong[0]}: label {values[wrong[0]]} takes more than 64 bits")
    return labels.cast(pa.int64())


def _of_floats(file: Path, name: str, labels: pa.Array) -> pa.Array:
    values = labels.cast(pa.float64()).to_numpy(zero_copy_only=False)  # null becomes NaN
    there = ~np.isnan(values)
    wrong = np.flatnonzero(there & ~((np.abs(values) <= 2.0**53) & (values == np.rint(values))))
    if len(wrong):
        raise DataError(f"{file}, row {wrong[0]}: column {name} must hold whole numbers, not {values[wrong[0]]}")
    return pa.array(np.where(there, values, 0).astype(np.int64), mask=~there)


@dataclass(frozen=True)
class Classes:
    """The classes of a data set.

    Args:
        names: one per class, in label order.
        values: what stands for each in a column of numbers, in the same order; None where names alone do.
    """

    names: tuple[str, ...]
    values: tuple[int, ...] | None

    def indices(self, file: Path, labels: pa.Array) -> np.ndarray:
        """The class of each label, as int64 of shape (rows,); -1 for a row without one, which has none or -1.

        Raises:
            DataError: a label is none of the classes.
        """
        text = pa.types.is_large_string(labels.type)
        if self.values is None and not text and not without_label(labels).all():
            raise DataError(f"{file} has numbers for labels, where other files have texts such as {self.names[0]}")
        known = pa.array(self.names, pa.large_string()) if text else pa.array(self.values or (), pa.int64())
        found = pc.call_function("index_in", [labels], pc.SetLookupOptions(known))
        indices = found.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        wrong = np.flatnonzero((indices < 0) & ~without_label(labels))
        if len(wrong):
            raise DataError(f"{file}, row {wrong[0]}: label {labels[wrong[0]].as_py()} is none of {self._said}")
        return indices

    @property
    def _said(self) -> str:
        if self.values is not None:
            return f"the {len(self.names)} classes, which are numbered {self.values[0]} to {self.values[-1]}"
        return f"the {len(self.names)} classes, {', '.join(self.names[:5])}{', …' if len(self.names) > 5 else ''}"


def without_label(labels: pa.Array) -> np.ndarray:
    """Which rows have no label, bool of shape (rows,): null, or -1, as in Hugging Face's data."""
    empty = labels.is_null().to_numpy(zero_copy_only=False)
    if pa.types.is_large_string(labels.type):
        return empty
    return empty | (labels.fill_null(-1).to_numpy(zero_copy_only=False) == -1)


def classes_of(labels: Sequence[pa.Array], place: Path) -> Classes:
    """The sorted labels that occur, where nothing names them.

    Raises:
        DataError: files differ in the type of their labels, or -1 may be a class or the lack of one.
    """
    kinds = {array.type for array in labels if array.null_count < len(array)}
    if len(kinds) > 1:
        raise DataError(f"the files in {place} have labels of several types ({', '.join(sorted(map(str, kinds)))})")
    known = sorted({value for array in labels for value in array.unique().to_pylist() if value is not None})
    if -1 in known and len(known) > 1:
        raise DataError(
            f"{place} has the label -1, which stands for an image without a label in Hugging Face's data, beside "
            "others; leave such rows out, or number classes from 0"
        )
    known = [value for value in known if value != -1]
    return Classes(tuple(map(str, known)), None if kinds == {pa.large_string()} else tuple(known))
