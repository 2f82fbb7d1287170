"""Tars with any names: every image is a sample, or is named as left out."""

import io
import json
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn.data.shards.tars import HIDDEN, LINK, NO_CLASS, Hashed, LeftOut, read_samples
from ddnn.errors import DataError
from tests.unit.data.shards.command import shards as main


def tar_of(files: Sequence[tuple[str, bytes]]) -> Hashed:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    stream.seek(0)
    return Hashed(stream)


_KEYS = st.from_regex(r"(dir\.x/)?\.?[ab0](\.?[ab0]){0,4}", fullmatch=True)
_LABELS = st.sampled_from([None, "cls", "json"])
_ENDINGS = st.sampled_from(["jpg", "PNG", "webp"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(_KEYS, _ENDINGS, _LABELS), max_size=8, unique_by=lambda sample: sample[0].lower()))
def test_used_and_left_out_are_all_that_there_are(drawn: list[tuple[str, str, str | None]]) -> None:
    files: list[tuple[str, bytes]] = []
    for number, (key, ending, label) in enumerate(drawn):
        files.append((f"{key}.{ending}", b"image %d" % number))
        if label is not None:
            files.append((f"{key}.{label}", b"%d" % number if label == "cls" else b'{"label": %d}' % number))
    try:
        samples, left = read_samples(tar_of(files), "tar")
    except DataError as error:  # a name without a dot and without a class
        assert "has no class" in str(error)  # noqa: PT017  # one of two right outcomes
        assert any(label is None and "." not in key.removeprefix("dir.x/") for key, _, label in drawn)
        return
    used = [f"{sample.key}.{ {key: ending for key, ending, _ in drawn}[sample.key] }" for sample in samples]
    named = [file for file, _ in left]
    assert sorted(map(str.lower, used + named)) == sorted(f"{key}.{ending}".lower() for key, ending, _ in drawn)
    for sample in samples:
        key, _, label = drawn[sample.label]
        assert (sample.key, label is not None, key.rpartition("/")[2].startswith(".")) == (key, True, False)
    for file, reason in left:
        hidden = file.rpartition("/")[2].startswith(".")
        assert reason == (HIDDEN if hidden else NO_CLASS)


def test_what_else_a_sample_holds_is_left_out_and_named() -> None:
    files = [("a.jpg", b"photo"), ("a.cls", b"3"), ("a.seg.png", b"mask"), ("a.seg.json", b'{"colours": 2}')]
    samples, left = read_samples(tar_of(files), "tar")
    assert [(sample.key, sample.label) for sample in samples] == [("a", 3)]
    assert left == [LeftOut("a.seg.png", NO_CLASS)]


def test_the_command_says_what_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "train-0.tar", "w") as archive:
        for name, content in (("s.1.jpg", b"image"), ("s.1.cls", b"0"), ("s.2.jpg", b"image"), (".s.jpg", b"image")):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "s.1.jpg"
        archive.addfile(link)
    assert main(["index", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["images"] == 1
    assert found["left_out"] == [
        f"train-0.tar: .s.jpg ({HIDDEN})", f"train-0.tar: link.jpg ({LINK})", f"train-0.tar: s.2.jpg ({NO_CLASS})"
    ]  # fmt: skip
    assert main(["index", str(tmp_path), "--replace"]) == 0
    said = capsys.readouterr().out
    assert "1 images of 1 classes" in said
    assert "3 files are left out: train-0.tar: .s.jpg (hidden)" in said
