"""Splits by the names of their folders, whatever the world calls them; what could be either is refused."""

import warnings

import pytest

from ddnn.data.folder import open_folder
from ddnn.data.split_names import NAMES, split_of
from ddnn.errors import DataError


def lengths(root):
    source = open_folder(root)
    return {name: len(source.split(name)) for name in source.splits}


@pytest.mark.parametrize("changed", [str, str.title, str.upper, "{}_set".format, "{} images".format, " {} ".format])
def test_every_name_in_every_case(changed):
    assert all(split_of(changed(name)) == split for split, names in NAMES.items() for name in names)
    assert [split_of(changed(name)) for name in ("trains", "cat", "contest", "value")] == [None] * 4


@pytest.mark.parametrize(("train", "test"), [("Training", "Testing"), ("TRAIN", "valid"), ("train_set", "Dev")])
def test_two_splits_by_other_names(make_folder, train, test):
    root = make_folder({f"{train}/a": 3, f"{train}/b": 2, f"{test}/a": 1, f"{test}/b": 1})
    assert lengths(root) == {"train": 5, "test": 2}
    assert open_folder(root).called == {"train": f"{train}/", "test": f"{test}/"}


def test_three_splits_by_other_names(make_folder):
    root = make_folder({f"{name}/{label}": 2 for name in ("Train", "valid", "Testing") for label in "ab"})
    assert lengths(root) == {"train": 4, "validation": 4, "test": 4}


def test_two_folders_for_one_split_are_refused(make_folder):
    with pytest.raises(DataError, match="two folders that are validation images by their names, dev/, valid/"):
        open_folder(make_folder({"train/a": 1, "dev/a": 1, "valid/a": 1}))


@pytest.mark.parametrize(
    "counts",
    [
        {"seg_train/a": 1, "seg_test/a": 1},  # by words in their names
        {"train/train/a": 1, "train/test/a": 1},  # a level too high
        {"bus": 2, "car": 2, "train": 2},  # the vehicle
        {"cat": 2, "dog": 2, "test/cat": 1},  # a split beside classes
    ],
)
def test_class_folders_named_like_splits_are_refused(make_folder, counts):
    with pytest.raises(DataError, match=r"named like (a )?split"):
        open_folder(make_folder(counts))


def test_a_class_may_be_called_train_among_others(make_folder):
    assert open_folder(make_folder({"train/bus": 1, "train/train": 1})).class_names == ("bus", "train")


def test_what_is_outside_and_beside_is_named(make_folder):
    root = make_folder({"train/a": 1, "val/a": 1, "extra": 1})
    for name in ("README.md", "train/notes.png", "train/a/list.csv", "extra/.hidden"):
        (root / name).write_text("text")
    source = open_folder(root)
    assert [(path.removeprefix(f"{root}/"), why) for path, why in source.left_out()] == [
        ("README.md", "outside of train/, val/"),
        ("extra/0.png", "outside of train/, val/"),
    ]
    assert [path.removeprefix(f"{root}/") for path, _ in source.split("train").left_out] == [
        "train/a/list.csv",
        "train/notes.png",
    ]


def test_a_split_without_class_folders_is_left_out_and_said(make_folder):
    source = open_folder(make_folder({"train/a": 1, "val/a": 1, "test": 3}))
    assert source.called == {"train": "train/", "test": "val/"}
    assert [note.rpartition("/")[2] for note in source.notes] == [
        "test has no class folders, so its images are left out"
    ]
    assert len(source.left_out()) == 3


def test_a_class_that_validation_lacks_is_named_and_lookalikes_are_one(make_folder):
    root = make_folder(
        {"train/caf\u00e9": 1, "train/dog": 1, "train/owl": 1, "val/cafe\u0301": 2, "val/Dog": 1, "val/owl": 0}
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = open_folder(root)
    assert source.class_names == ("caf\u00e9", "dog", "owl")
    assert source.split("test").labels.tolist() == [0, 0, 1]
    (root / "val" / "owl").rmdir()
    assert open_folder(root).notes == (f"{root}/val has no images of 1 of the 3 classes: owl",)


def test_classes_of_one_split_that_look_alike_are_shown(make_folder):
    (note,) = open_folder(make_folder({"Cat": 2, "cat": 2, "dog": 2})).notes
    assert note.endswith("has different classes whose names look alike: 'Cat' and 'cat'")
