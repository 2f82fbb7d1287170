from pathlib import Path

import pytest

from ddnn.errors import DataError
from ddnn_runtime.image_files import find_images, found_files, image_files, in_words


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_takes_files_folders_and_lists_in_order(tmp_path: Path) -> None:
    touch(
        tmp_path / "b" / "2.PNG", tmp_path / "b" / "1.jpg", tmp_path / "b" / "deep" / "3.webp", tmp_path / "b" / "x.md"
    )
    (tmp_path / "list.txt").write_text("b/2.PNG\n\n  ../elsewhere.jpg  \n")
    found = image_files([tmp_path / "named.raw", tmp_path / "b", str(tmp_path / "list.txt")])
    assert found == [
        tmp_path / "named.raw",
        tmp_path / "b" / "1.jpg",
        tmp_path / "b" / "2.PNG",
        tmp_path / "b" / "deep" / "3.webp",
        tmp_path / "b" / "2.PNG",
        tmp_path / "../elsewhere.jpg",
    ]


def test_an_empty_folder_or_list_is_named(tmp_path: Path) -> None:
    touch(tmp_path / "folder" / "notes.md", tmp_path / "empty.txt")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(
        DataError, match=r"folder has no image: of a folder, files ending in \.jpg, .* are taken; left out: 1 no "
    ):
        image_files([tmp_path / "folder"])
    with pytest.raises(DataError, match=r"empty\.txt is empty; it takes one path"):
        image_files([tmp_path / "empty.txt"])
    with pytest.raises(DataError, match=r"binary\.txt cannot be read: it is no text"):
        image_files([tmp_path / "binary.txt"])
    with pytest.raises(DataError, match=r"missing\.txt cannot be read: No such file"):
        image_files([tmp_path / "missing.txt"])


def test_what_is_hidden_does_not_count_and_what_is_left_out_has_a_reason(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ("._a.png", ".hidden/b.png", "__MACOSX/c.png", "d.JFIF", "e.txt", "f")))
    files, left_out = found_files([tmp_path])
    assert files == [tmp_path / "d.JFIF"]
    assert [(Path(path).name, reason) for path, reason in left_out] == [
        ("e.txt", "no image by its ending .txt"),
        ("f", "no image: its name has no ending"),
    ]


def test_links_are_followed_and_end(tmp_path: Path) -> None:
    touch(tmp_path / "in" / "a" / "1.png", tmp_path / "elsewhere" / "2.png")
    (tmp_path / "in" / "a" / "more").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "in" / "a" / "up").symlink_to(tmp_path / "in")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "in" / "a")
    (tmp_path / "in" / "3.jpg").symlink_to(tmp_path / "elsewhere" / "2.png")
    found = find_images(tmp_path / "in")
    assert [Path(path).relative_to(tmp_path).as_posix() for path in found.images] == [
        "in/3.jpg",
        "in/a/1.png",
        "in/a/more/2.png",
    ]
    assert [Path(path).name for path, _ in found.left_out] == ["back", "up"]
    assert all("which is read already" in reason for _, reason in found.left_out)


def test_an_ending_that_no_decoder_knows_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddnn_runtime.image_files._endings_of_pillow", lambda: frozenset({".avif"}))
    touch(tmp_path / "a.avif", tmp_path / "b.HEIC")
    found = find_images(tmp_path)
    assert [Path(path).name for path in found.images] == ["a.avif"]
    assert in_words(found.left_out).startswith("1 no decoder for .heic is installed; convert it (")


def test_lists_with_a_mark_and_with_names_of_any_characters(tmp_path: Path) -> None:
    (tmp_path / "windows.TXT").write_bytes("\ufeffä b.png\r\na\u2028b.png\r\nä b.png\r\n".encode())
    assert image_files([tmp_path / "windows.TXT"]) == [
        tmp_path / "ä b.png", tmp_path / "a\u2028b.png", tmp_path / "ä b.png"
    ]  # fmt: skip
