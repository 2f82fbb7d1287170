"""The data's classes are the network's by name, or by a mapping, and never by number alone."""

import json

import numpy as np
import pytest

from ddnn.data.class_names import shown, to_network
from ddnn.errors import DataError


def matched(names, network, *, named=True, given=None):
    return to_network("data", names, network, named, given).tolist()


def test_a_subset_and_another_order_are_matched_by_name():
    assert matched(["s", "h"], ["h", "s", "v"]) == [1, 0]
    assert matched(["H", "e\u0301 ", "v"], ["h", "\u00e9", "v"]) == [0, 1, 2]
    assert matched(["b", "B"], ["B", "b"]) == [1, 0]  # the same one before one that looks alike


def test_strangers_are_named():
    with pytest.raises(DataError, match=r"1 of the data's are none of the network's: alpha, and lacks v\. Say with"):
        matched(["alpha", "h", "s"], ["h", "s", "v"])
    with pytest.raises(DataError, match=r"\u0441at \('\\u0441at'\)"):  # Cyrillic, which looks Latin
        matched(["\u0441at"], ["cat"])


def test_without_names_counts_must_agree():
    assert matched(["0", "1"], ["0", "1"], named=False) == [0, 1]
    with pytest.raises(DataError, match="has 1 classes, but the network was trained on 2, and both have numbers"):
        matched(["1"], ["0", "1"], named=False)
    assert matched(["1"], ["0", "1"], named=True) == [1]  # folders called so have names
    with pytest.raises(DataError, match=r"numbers, not names: give --classes_from FILE"):
        matched(["0", "1"], ["cat", "dog"], named=False)


def test_a_mapping_and_files_with_one(tmp_path):
    pairs = {"kitten": "cat", "none": None}
    assert matched(["dog", "kitten", "none"], ["cat", "dog"], given=pairs) == [1, 0, -1]
    for name, text in (("a.json", json.dumps(pairs)), ("a.yaml", "kitten: cat\nnone: null\n")):
        (tmp_path / name).write_text(text)
        assert matched(["dog", "kitten", "none"], ["cat", "dog"], given=str(tmp_path / name)) == [1, 0, -1]
    (tmp_path / "names.txt").write_text("dog\ncat\n")
    assert matched(["0", "1"], ["cat", "dog"], named=False, given=str(tmp_path / "names.txt")) == [1, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lion": "cat"}, "names classes that the data has not: lion"),
        ({"kitten": "lion"}, "leads to classes that the network has not: lion"),
        ("missing.yaml", "missing.yaml cannot be read"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(given, message):
    with pytest.raises(DataError, match=message):
        matched(["kitten"], ["cat"], given=given)


def test_names_that_could_be_taken_for_others_are_shown_as_they_are():
    assert [shown(name) for name in ("cat", "кот", "cat\u200b", "e\u0301")] == [
        "cat",
        "кот",
        r"'cat\u200b'",
        r"'e\u0301'",
    ]


def test_labels_are_changed_and_images_left_out(make_folder):
    from ddnn.data.folder import open_folder

    source = open_folder(make_folder({"test/a": 1, "test/b": 2, "test/c": 1}))
    split = source.with_classes(("c", "a"), np.array([1, -1, 0])).split("test")
    assert split.labels.tolist() == [1, 0]
    assert [reason for _, reason in split.left_out] == ["its class is left out"] * 2
