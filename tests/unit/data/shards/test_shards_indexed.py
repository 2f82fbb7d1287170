"""Tars that somebody else has written, with nothing of ours."""

import io
import re
import tarfile

import pytest

from ddnn.data.sources import open_source
from ddnn.errors import DataError
from tests.unit.data.shards.command import shards as main


def opened(root):
    return open_source(f"shards:{root}", "unused")


def test_every_way_to_say_which_class_it_is(make_tar, tmp_path, encode):
    images = [encode((70, 80), seed) for seed in range(4)]
    make_tar(
        tmp_path / "train-0.tar",
        {
            "./n0/a.b/x.jpg": images[0], "./n0/a.b/x.cls": " 2\n", "./n0/a.b/x.txt": "left alone",
            "y.json": {"label": 1, "other": [1]}, "y.PNG": images[1],
            "z.webp": images[2], "z.json": {"cls": 0},
            "both.cls": 3, "both.JPEG": images[3], "both.json": {"label": 1}, "both.thumb.jpg": b"left alone",
            "README": "left alone", "notes.txt": "left alone", "alone.cls": "7",
        },
    )  # fmt: skip
    assert main(["index", str(tmp_path)]) == 0
    source = opened(tmp_path)
    assert source.class_names == ("0", "1", "2", "3")
    train = source.split("train")
    assert train.labels.tolist() == [2, 1, 0, 3]
    assert [train.images.encoded(index) for index in range(4)] == images
    assert train.images.name(0) == f"{tmp_path}/train-0.tar: ./n0/a.b/x"


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_and_foreign_names_folders_and_links_in_every_format(form, tmp_path, encode):
    names = ["a/" * 40 + "x", "b/" * 20 + "é", "c"]
    (tmp_path / "train").mkdir()
    with tarfile.open(tmp_path / "train/0.tar", "w", format=form) as archive:
        archive.addfile(_entry("folder.jpg", tarfile.DIRTYPE))
        archive.addfile(_entry("../../link.jpg", tarfile.SYMTYPE))
        for label, name in enumerate(names):
            for ending, data in ((".png", encode((70, 80), label)), (".cls", b"%d" % label)):
                archive.addfile(_entry(name + ending, tarfile.REGTYPE, len(data)), io.BytesIO(data))
    assert main(["index", str(tmp_path)]) == 0
    train = opened(tmp_path).split("train")
    assert [train.images.encoded(index) for index in range(3)] == [encode((70, 80), seed) for seed in range(3)]
    assert [str(key) for key in train.images.keys] == names


def _entry(name, kind, size=0):
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, size, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    return info


def test_splits_are_found_or_named_and_braces_stand_for_many(make_tar, tmp_path, capsys):
    for number in range(12):
        make_tar(tmp_path / f"set-train-{number:03d}.tar", {"a.jpg": b"", "a.cls": number % 3})
    for name in ("set-validation-0.tar", "set-test-0.tar", "unrelated.tar"):
        make_tar(tmp_path / name, {"a.jpg": b"", "a.cls": 0})
    assert main(["index", str(tmp_path)]) == 0
    assert "14 images of 3 classes in 14 shards" in capsys.readouterr().out
    source = opened(tmp_path)
    assert {name: len(source.split(name)) for name in source.splits} == {"train": 12, "validation": 1, "test": 1}
    given = ["--train", "set-train-{000..009}.tar", "unrelated.tar", "--val", "set-{validation,test}-0.tar"]
    assert main(["index", str(tmp_path), *given]) == 1
    assert "exists already; give --replace" in capsys.readouterr().err
    assert main(["index", str(tmp_path), *given, "--replace"]) == 0
    source = opened(tmp_path)
    assert {name: len(source.split(name)) for name in source.splits} == {"train": 11, "test": 2}


def test_names_of_classes(make_tar, tmp_path, capsys):
    make_tar(tmp_path / "train-0.tar", {"a.jpg": b"", "a.cls": 1})
    names = tmp_path / "names"
    for text, message in (
        ("cat\n", "a is of class 1, and there are 1 classes"),
        ("a\na\n", "none twice"),
        ("", "none"),
    ):
        names.write_text(text)
        assert main(["index", str(tmp_path), "--classes", str(names)]) == 1
        assert message in capsys.readouterr().err
    names.write_text("cat\ndog\nemu\n")
    assert main(["index", str(tmp_path), "--classes", str(names), "--output", str(tmp_path / "other")]) == 0
    assert not (tmp_path / "index.parquet").exists()
    names.rename(tmp_path / "classes.txt")
    assert main(["index", str(tmp_path)]) == 0
    assert opened(tmp_path).class_names == ("cat", "dog", "emu")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.jpg": b""}, r'train-0\.tar: a has no class: expected a\.cls, or a\.json with a "label" or "cls"'),
        ({"a.jpg": b"", "a.cls": "cat"}, "the class of a must be a number from 0 on, not 'cat'"),
        ({"a.jpg": b"", "a.cls": "-1"}, "must be a number from 0 on, not '-1'"),
        ({"a.jpg": b"", "a.cls": "1" * 10}, "must be a number from 0 on"),
        ({"a.jpg": b"", "a.cls": b"\xff\x00"}, "must be a number from 0 on"),
        ({"a.jpg": b"", "a.json": {"label": True}}, "must be a number from 0 on, not 'True'"),
        ({"a.jpg": b"", "a.json": {}}, "must be a number from 0 on, not 'None'"),
        ({"a.jpg": b"", "a.json": "[" * 100_000}, "must be a number from 0 on, not 'damaged JSON'"),
        ({"a.jpg": b"", "a.json": b"\xff"}, "must be a number from 0 on, not 'damaged JSON'"),
        ({"a.jpg": b"", "b.cls": "0"}, "a has no class"),
        ({"a.jpg": b"", "a.cls": "0" * (2**20 + 1)}, "a has no class"),
        ({"a.jpg": b"", "a.png": b"", "a.cls": "0"}, r"a has 2 images \(jpg, png\); it must have one"),
        ({"a.txt": b""}, "There are no images in the shards of"),
    ],
)
def test_samples_that_are_not_as_they_should_be(files, message, make_tar, tmp_path, capsys):
    make_tar(tmp_path / "train-0.tar", files)
    assert main(["index", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(message, error), error
    assert not (tmp_path / "index.parquet").exists()


def test_numbers_of_classes_that_would_fill_the_memory_are_refused(make_tar, tmp_path, capsys, encode):
    make_tar(tmp_path / "train-0.tar", {"a.png": encode((70, 80), 0), "a.cls": "999999999"})
    assert main(["index", str(tmp_path)]) == 1
    assert "a is of class 999999999, and classes without names are numbered from 0" in capsys.readouterr().err


def sized(tar: bytes, size: int) -> bytes:
    """The same tar, whose first header says another size, and has the checksum of that."""
    header = bytearray(tar[:512])
    header[124:136] = (b"\x80" if size >= 0 else b"\xff") + size.to_bytes(11, "big", signed=True)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + tar[512:]


def test_tars_that_are_damaged(make_tar, tmp_path, capsys):
    pairs = {f"{number}.{end}": "1" * size for number in range(8) for end, size in (("jpg", 601), ("cls", 1))}
    path = make_tar(tmp_path / "train-0.tar", pairs)
    whole = path.read_bytes()
    headers = [place for place in range(0, len(whole), 512) if whole[place + 257 : place + 262] == b"ustar"]
    damaged = {
        "compressed": None,
        "empty": b"",
        "no tar": b"no tar" * 1000,
        "cut within an image": whole[: headers[4] + 700],
        "cut within a header": whole[: headers[4] + 100],
        "cut before a header": whole[: headers[4]],
        "header": whole[: headers[4]] + b"\xff" * 8 + whole[headers[4] + 8 :],
        "two in one": whole + whole,
        "a file of exbibytes": whole[: headers[4]] + sized(whole[headers[4] :], 2**62),
        "a file of less than nothing": whole[: headers[4]] + sized(whole[headers[4] :], -(2**20)),
    }
    for what, content in damaged.items():
        if content is None:
            make_tar(path, {"a.jpg": b"", "a.cls": 1}, mode="w:gz")
        else:
            path.write_bytes(content)
        assert main(["index", str(tmp_path)]) == 1, what
        assert f"{path} is no plain tar, or a damaged one" in capsys.readouterr().err, what


def test_what_the_command_refuses(make_tar, tmp_path, capsys, monkeypatch):
    (tmp_path / "spaced").mkdir()
    make_tar(tmp_path / "spaced" / "train 0.tar", {"a.jpg": b"", "a.cls": 1})
    cases = [
        (["index", str(tmp_path / "nowhere")], 1, "There is no folder"),
        (["index", str(tmp_path)], 1, "has no shards that are called by their split, such as train/000000.tar"),
        (["index", str(tmp_path / "spaced"), "--train", "train 0.tar"], 1, "'train 0.tar' is no path of a shard"),
        (["index", str(tmp_path / "spaced"), "--train", "../a.tar"], 1, "'../a.tar' is no path of a shard"),
        (["index", str(tmp_path / "spaced"), "--train", "/a.tar"], 1, "'/a.tar' is no path of a shard"),
        (["index", str(tmp_path), "--train", "x-{0..a}.tar"], 1, "braces must hold a range or alternatives"),
        (["index", str(tmp_path), "--train", "x-{2..1}.tar"], 1, "the range 2..1 must go up"),
        (["index", str(tmp_path), "--train", "x-{0..99999}{0..99999}.tar"], 1, "more than 1000000 shards"),
        (["index", str(tmp_path), "--train", "x.tar"], 1, "x.tar: No such file"),
        (
            ["index", "http://127.0.0.1:1/x"],
            1,
            "an index cannot be written to http://127.0.0.1:1/x: give --output FILE",
        ),
        (["index", "http://127.0.0.1:1/x", "--output", str(tmp_path / "i")], 1, "which shards http"),
        (
            ["index", "ftp://x", "--output", str(tmp_path / "i"), "--train", "a.tar"],
            1,
            "a URL that begins with http://",
        ),
        (["write", str(tmp_path), str(tmp_path / "new"), "--shard-size-mib", "0"], 1, "must be over 0"),
        (["write", str(tmp_path), str(tmp_path / "new"), "--shard-size-mib", "inf"], 2, "shard_size_mib"),
        (["write", str(tmp_path / "nowhere"), str(tmp_path / "new")], 1, "There is no folder"),
    ]
    for arguments, status, message in cases:
        assert main(arguments) == status
        error = capsys.readouterr().err
        assert message in error
        assert len(error.splitlines()) == 1
    for arguments in (["read"], ["write"], ["write", "a", "b", "--shard-size-mib", "big"], ["index", "a", "--x"]):
        assert main(arguments) == 2
        error = capsys.readouterr().err
        assert len(error.splitlines()) == 1
        assert error.startswith("ddnn: error: ")


def test_a_disk_that_is_full(written, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    folder, _root = written
    monkeypatch.setattr(tarfile.TarFile, "addfile", full)
    assert main(["write", str(folder), str(tmp_path / "new")]) == 1
    assert capsys.readouterr().err.endswith("error: No space left on device; nothing was written\n")
    assert not (tmp_path / "new").exists()


def test_without_an_index_the_message_has_the_command(written):
    _, root = written
    (root / "index.parquet").unlink()
    with pytest.raises(DataError, match=rf"There is no {root}/index\.parquet: .*ddnn shards index {root}"):
        opened(root)
    with pytest.raises(DataError, match=r"There is no folder /no/such: expected shards such as train/000000\.tar"):
        opened("/no/such")
    assert main(["index", str(root)]) == 0
    assert opened(root).class_names == ("cat", "dog")
