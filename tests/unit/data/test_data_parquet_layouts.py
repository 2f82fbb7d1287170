"""Parquet files as people have them: any columns, labels of many types, images in files, clones of Hub repositories."""

import string
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn.config import DataConfig
from ddnn.data import open_data
from ddnn.data.images import decode
from ddnn.data.parquet import open_parquet
from ddnn.data.parquet_columns import IMAGE_COLUMNS, LABEL_COLUMNS, Columns
from ddnn.errors import DataError, UnreadableImageError

Encode = Callable[[tuple[int, int], int], bytes]


def write(file: Path, labels: Any, images: Any = None, image: str = "image", label: str = "label") -> Path:
    """One file; gives its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = [b"content"] * len(labels) if images is None else images
    pq.write_table(pa.Table.from_arrays([pa.array(content), pa.array(labels)], [image, label]), file)
    return file.parent


@pytest.mark.parametrize("image", IMAGE_COLUMNS)
@pytest.mark.parametrize("label", [*LABEL_COLUMNS, "Labels"])
def test_usual_columns_are_found(tmp_path: Path, image: str, label: str) -> None:
    source = open_parquet(write(tmp_path / "train.parquet", [3, 4], image=image, label=label))
    assert source.class_names == ("3", "4")
    assert len(source.split("train")) == 2


def test_of_several_usual_columns_the_first_is_taken_and_that_is_said(tmp_path: Path) -> None:
    table = pa.table({"image": [b"content"], "target": [1], "label": ["cat"]})
    pq.write_table(table, tmp_path / "train.parquet")
    with pytest.warns(UserWarning, match="columns label, target; label is taken for the labels"):
        assert open_parquet(tmp_path).class_names == ("cat",)
    assert open_parquet(tmp_path, Columns(label="target")).class_names == ("1",)


_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
_WORDS = st.text(string.ascii_letters + "äß ", min_size=1, max_size=4).filter(str.strip)


@st.composite
def labels_and_texts(draw: st.DrawFn) -> tuple[pa.Array, list[str | None]]:
    """A column of labels of some type, and what each stands for."""
    numbers = st.none() | st.integers(0, 5)
    kind = draw(st.sampled_from(["int64", "uint8", "double", "text", "large text", "category", "category of numbers"]))
    values = draw(st.lists(st.none() | _WORDS if kind in ("text", "large text", "category") else numbers, min_size=1))
    expected = [None if value is None else str(value) for value in values]
    types = {"text": pa.string(), "large text": pa.large_string(), "category": pa.string(), "double": pa.float64(),
             "uint8": pa.uint8()}  # fmt: skip
    column = pa.array(values, types.get(kind, pa.int64()))
    return column.dictionary_encode() if kind.startswith("category") else column, expected


@settings(max_examples=60, deadline=None)
@given(columns=st.lists(_NAMES, min_size=2, max_size=2, unique=True), drawn=labels_and_texts())
def test_named_columns_of_any_name_and_type_use_every_row_or_count_it(
    columns: list[str], drawn: tuple[pa.Array, list[str | None]]
) -> None:
    labels, expected = drawn
    known = [text for text in expected if text is not None]
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        root = write(Path(folder) / "train.parquet", labels, image=columns[0], label=columns[1])
        if not known:
            with pytest.raises(DataError, match="has a label"):
                open_parquet(root, Columns(*columns))
            return
        source = open_parquet(root, Columns(*columns))
        split = source.split("train")
    assert [source.class_names[label] for label in split.labels] == known
    assert set(source.class_names) == set(known)
    assert [expected[row] for row in split.indices] == known
    left = len(expected) - len(known)
    assert len(said) == (left > 0)
    assert not left or f"{left} of {len(expected)} train images" in str(said[0].message)


def test_classes_by_text_are_the_same_in_every_split(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ["dog", "cat", "dog"])
    write(tmp_path / "test.parquet", pa.array(["cat", "dog"]).dictionary_encode())
    source = open_parquet(tmp_path)
    assert source.class_names == ("cat", "dog")
    assert source.split("train").labels.tolist() == [1, 0, 1]
    assert source.split("test").labels.tolist() == [0, 1]
    write(tmp_path / "test.parquet", ["cat", "emu"])
    with pytest.raises(DataError, match=r"row 1: label emu is none of the 2 classes, cat, dog"):
        open_parquet(tmp_path).split("test")
    write(tmp_path / "test.parquet", [0, 1])
    with pytest.raises(DataError, match="has numbers for labels, where other files have texts such as cat"):
        open_parquet(tmp_path).split("test")


@pytest.mark.parametrize("labels", [[-1, -1], pa.nulls(2), pa.array([None, None], pa.string()), [float("nan")] * 2])
def test_a_test_split_without_labels_leaves_the_scores_to_validation(tmp_path: Path, labels: Any) -> None:
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "validation.parquet", [1, 1, 0])
    write(tmp_path / "test.parquet", labels)
    with pytest.warns(UserWarning, match=r"none of the test images in .* has a label: scores are those of the valid"):
        source = open_parquet(tmp_path)
    assert set(source.splits) == {"train", "test"}
    assert source.split("test").labels.tolist() == [1, 1, 0]


def test_without_validation_it_is_said_why_there_is_no_test_split(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1])
    pq.write_table(pa.table({"image": [b"content"]}), tmp_path / "test.parquet")
    with pytest.warns(UserWarning, match="they are left out"):
        source = open_parquet(tmp_path)
    with pytest.raises(DataError, match=r"has no test images: .*none of the test images in .* has a label"):
        source.split("test")


def test_rows_without_a_label_are_left_out_and_counted(make_parquet: Callable[..., Path]) -> None:
    make_parquet("train.parquet", [0, 1], names=["a", "b"])
    source = open_parquet(make_parquet("test.parquet", [-1, 1, -1], names=["a", "b"]))
    with pytest.warns(UserWarning, match=r"2 of 3 test images in .* are left out: they have no label"):
        split = source.split("test")
    assert (split.labels.tolist(), split.indices.tolist()) == ([1], [1])


@pytest.mark.parametrize("struct", [True, False])
@pytest.mark.parametrize("beside", ["data", ""])
def test_images_in_files_beside(tmp_path: Path, encode: Encode, struct: bool, beside: str) -> None:
    paths = ["pictures/0.png", "pictures/1.png"]
    images = pa.array([{"bytes": None, "path": path} for path in paths]) if struct else paths
    write(tmp_path / "data" / "train.parquet", [0, 1], images)
    (tmp_path / beside / "pictures").mkdir()
    (tmp_path / beside / "pictures" / "0.png").write_bytes(encode((9, 9), 0))
    source = open_parquet(tmp_path)
    split = source.split("train")
    assert torch.equal(split.image(0, 3), decode(encode((9, 9), 0), 3, "x"))
    with pytest.raises(UnreadableImageError, match=r"row 1: it has the path pictures/1\.png and no bytes"):
        split.image(1, 3)
    assert source.own_side(True) == 9
    with pytest.raises(UnreadableImageError, match=r"pictures/1\.png and no bytes, and there is no such file in"):
        source.own_side(False)


def test_some_rows_have_bytes_and_some_a_path(tmp_path: Path, encode: Encode) -> None:
    (tmp_path / "1.png").write_bytes(encode((9, 9), 1))
    images = [{"bytes": encode((9, 9), 0), "path": None}, {"bytes": None, "path": "1.png"}]
    write(tmp_path / "train-00000-of-00002.parquet", [0, 1], pa.array(images))
    write(tmp_path / "train-00001-of-00002.parquet", [1], [encode((9, 9), 2)])
    split = open_parquet(tmp_path).split("train")
    for place in range(3):
        assert torch.equal(split.image(place, 3), decode(encode((9, 9), place), 3, "x"))


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("data/train-00000-of-00001-0f1e2d3c4b5a6978.parquet", "data/test-00000-of-00001-0f1e2d3c4b5a6978.parquet"),
        ("Training.parquet", "Testing.PARQUET"),
        ("train_images.parquet", "val_images.parquet"),
        ("default/train/0000.parquet", "default/validation/0000.parquet"),
        ("cats/train-00000-of-00001.parquet", "cats/dev-00000-of-00001.parquet"),
    ],
)
def test_layouts_of_the_hub_are_found(tmp_path: Path, train: str, test: str) -> None:
    write(tmp_path / train, [0, 1, 1])
    write(tmp_path / test, [1])
    source = open_parquet(tmp_path)
    assert [len(source.split(name)) for name in ("train", "test")] == [3, 1]


CARD = """---
license: mit
configs:
- config_name: default
  data_files:
  - split: train
    path: images/learn-*
  - split: test
    path: [images/judge.parquet]
- config_name: other
  data_files:
  - split: train
    path: elsewhere/*
dataset_info:
  features:
  - name: label
    dtype:
      class_label:
        names:
          '1': dog
          '0': cat
---
# Cats and dogs
"""


def test_a_repository_says_where_its_files_are_and_what_classes_are_called(tmp_path: Path) -> None:
    write(tmp_path / "images" / "learn-1.parquet", [0, 1])
    write(tmp_path / "images" / "learn-2.parquet", [1])
    write(tmp_path / "images" / "judge.parquet", [1, 0])
    (tmp_path / "README.md").write_text(CARD)
    source = open_parquet(tmp_path)
    assert source.class_names == ("cat", "dog")
    assert source.split("train").labels.tolist() == [0, 1, 1]
    assert source.split("test").labels.tolist() == [1, 0]


def test_several_data_sets_are_not_guessed_between(tmp_path: Path) -> None:
    for name in ("small", "large"):
        write(tmp_path / name / "train.parquet", [0])
    with pytest.raises(DataError, match=r"several data sets, in .*large, .*small: name the one.*parquet:.*large"):
        open_parquet(tmp_path)


@pytest.mark.parametrize(
    ("files", "what"),
    [
        (["test-00000-of-00003", "test-00002-of-00003"], "has 00000, 00002 of the 3 files .*; 00001 missing"),
        (["test-00001-of-00002"], "has 00001 of the 2 files .*; 00000 missing: download the test split again"),
        (["test-00000-of-00001-aa", "test-00000-of-00001-bb"], "some twice"),
        (["test-00000-of-00001", "test-00000-of-00002", "test-00001-of-00002"], "the test split twice"),
    ],
)
def test_a_split_of_which_shards_are_missing_is_refused(tmp_path: Path, files: list[str], what: str) -> None:
    write(tmp_path / "data" / "train.parquet", [0])
    for name in files:
        write(tmp_path / "data" / f"{name}.parquet", [0])
    with pytest.raises(DataError, match=what):
        open_parquet(tmp_path)


def test_files_that_are_not_used_are_named(tmp_path: Path) -> None:
    for name in ("train", "train-small", "extra"):
        write(tmp_path / f"{name}.parquet", [0, 1])
    with pytest.warns(UserWarning, match=r"extra\.parquet, .*train-small\.parquet left out"):
        assert len(open_parquet(tmp_path).split("train")) == 2


def test_a_pointer_of_git_lfs_is_told(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(DataError, match="a pointer of Git LFS, not the file itself: run git lfs pull"):
        open_parquet(tmp_path)


def test_columns_are_keys(tmp_path: Path, encode: Encode) -> None:
    for split in ("train", "test"):
        write(tmp_path / f"{split}.parquet", ["a", "b"] * 4, [encode((9, 9), 0)] * 8, image="scan", label="finding")
    config = DataConfig(data=f"parquet:{tmp_path}", image_column="scan", label_column="finding")
    assert open_data(config, 0).spec.class_names == ("a", "b")
    with pytest.raises(DataError, match="image_column and label_column are for parquet"):
        open_data(DataConfig(data="digits", image_column="scan"), 0)
