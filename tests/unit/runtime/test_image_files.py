from pathlib import Path

import pytest

from ddnn.errors import DataError
from ddnn_runtime.image_files import image_files


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
    with pytest.raises(DataError, match=r"folder has no image: of a folder, files ending in \.bmp, .* are taken"):
        image_files([tmp_path / "folder"])
    with pytest.raises(DataError, match=r"empty\.txt is empty; it takes one path"):
        image_files([tmp_path / "empty.txt"])
    with pytest.raises(DataError, match=r"binary\.txt cannot be read: it is no text"):
        image_files([tmp_path / "binary.txt"])
    with pytest.raises(DataError, match=r"missing\.txt cannot be read: No such file"):
        image_files([tmp_path / "missing.txt"])


def test_lists_with_a_mark_and_with_names_of_any_characters(tmp_path: Path) -> None:
    (tmp_path / "windows.TXT").write_bytes("\ufeffä b.png\r\na\u2028b.png\r\nä b.png\r\n".encode())
    assert image_files([tmp_path / "windows.TXT"]) == [
        tmp_path / "ä b.png", tmp_path / "a\u2028b.png", tmp_path / "ä b.png"
    ]  # fmt: skip
