import os
from pathlib import Path

import pytest

from ddnn.errors import DDNNError
from ddnn.formats.staging import disk_errors, replacing, reserved, staged, write_bytes, write_files


def test_appears_when_it_is_complete(tmp_path: Path) -> None:
    with staged(tmp_path / "a" / "export") as stage:
        (stage / "file").write_text("whole")
        assert not (tmp_path / "a" / "export").exists()
    assert (tmp_path / "a" / "export" / "file").read_text() == "whole"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["export"]


@pytest.mark.parametrize("error", [DDNNError, KeyboardInterrupt, OSError])
def test_nothing_is_left_of_work_that_fails(tmp_path: Path, error: type[BaseException]) -> None:
    def work() -> None:
        with staged(tmp_path / "export") as stage:
            (stage / "file").write_text("half")
            raise error

    with pytest.raises(error):
        work()
    assert list(tmp_path.iterdir()) == []


def test_takes_an_empty_folder_and_no_other(tmp_path: Path) -> None:
    with staged(tmp_path / "export"):
        pass
    with staged(tmp_path / "export") as stage:
        (stage / "file").touch()
    with pytest.raises(DDNNError, match="exists already; give another --output"), staged(tmp_path / "export"):
        pytest.fail("the work must not begin")


def test_is_readable_as_any_new_folder_is(tmp_path: Path) -> None:
    with staged(tmp_path / "export"):
        pass
    (tmp_path / "other").mkdir()
    assert (tmp_path / "export").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_a_folder_that_was_made_in_vain_is_removed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), reserved(tmp_path / "a" / "b"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_folder_of_somebody_s_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RuntimeError), reserved(tmp_path):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"), reserved(tmp_path / "file"):
        pytest.fail("that came too late")


def test_files_of_the_same_names_are_replaced_and_no_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("old")
    write_files(tmp_path, {"a": b"new", "c": b"new"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "old", "c": "new"}


def test_no_file_appears_unless_all_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder/none/b"):
        write_files(tmp_path / "folder", {"../a": b"new", "none/b": b"new"})
    assert (tmp_path / "a").read_text() == "old"
    assert not list((tmp_path / "folder").iterdir())


def test_the_first_of_several_files_appears_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, replace = [], os.replace

    def watched(old: Path, new: Path) -> None:
        assert all((tmp_path / f".{name}.{os.getpid()}").exists() for name in "abc"[len(seen) :])
        replace(old, new)
        seen.append(new.name)

    monkeypatch.setattr(os, "replace", watched)
    write_files(tmp_path, {"a": b"1", "b": b"2", "c": b"3"})
    assert seen == ["a", "b", "c"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")
    with pytest.raises(error), replacing(path) as partial:
        raise error(partial.write_bytes(b"ha"))
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [("file", b"old")]


def test_what_the_disk_says_in_others_words_is_an_error_of_the_file(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"No space left on device: .*weights") as told, disk_errors(tmp_path / "weights"):
        raise RuntimeError("I/O error: No space left on device (os error 28)")
    assert told.value.errno == 28
    with pytest.raises(KeyError), disk_errors(tmp_path / "weights"):
        raise KeyError("of another kind")
