"""A file is the document that it should be, or one message names the file, what is wrong in it, and what to do."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from ddnn.errors import ModelFileError
from ddnn_runtime import documents
from ddnn_runtime.documents import Natural, read_document
from ddnn_runtime.sealed_json import sealed


@dataclass(frozen=True)
class Counts:
    counts: dict[str, Natural]
    share: float = 0.0


FIX = "make it anew"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "counts.json"


def test_a_document_is_read(file: Path) -> None:
    file.write_text('{"counts": {"a": 1}}')
    assert read_document(file, Counts, fix=FIX) == Counts({"a": 1}) == read_document(file.read_bytes(), Counts, fix=FIX)


def test_not_a_number_and_infinity_are_numbers_where_nothing_forbids_it_and_the_last_of_equal_keys_counts() -> None:
    assert read_document(b'{"counts": {}, "share": 1, "share": Infinity}', Counts, fix=FIX).share == float("inf")
    assert read_document(b'{"counts": {}, "share": NaN}', Counts, fix=FIX).share != 0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged: Expecting value"),
        (b"[1]", "is damaged: it is no JSON object; make it anew"),
        (b"\xff\xfe", "is damaged: 'utf-8' codec"),
        (b'{"counts":' * 100_000, "is damaged: it is nested too deep"),
        (b'{"counts": {"a": ' + b"9" * 10_000 + b"}}", "is damaged: Exceeds the limit"),
        (b"{}", "is damaged: it lacks counts; make it anew"),
        (b'{"counts": {"a": -1}}', "is damaged: counts.a must be a whole number from 0 to"),
        (b'{"counts": {}, "checksum": 3}', "is damaged: it has 'checksum', which this version"),
    ],
)
def test_damage_is_one_message(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ModelFileError) as told:
        read_document(file, Counts, fix=FIX)
    assert str(told.value).startswith(f"{file} {message}")
    assert "\n" not in str(told.value)
    with pytest.raises(ModelFileError, match=r"^the index is damaged"):
        read_document(content, Counts, fix=FIX, name="the index")


def test_a_huge_file_is_not_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "MOST_BYTES", 10)
    file.write_text('{"counts": {}}')
    with pytest.raises(ModelFileError, match="it has more than the 10 bytes that are allowed"):
        read_document(file, Counts, fix=FIX)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "has format 2; this version of ddnn reads 1"),
        ({"format": None}, "is damaged: it lacks format; make it anew"),
        ({"kind": "x"}, "was not written by `ours`; give a file that was"),
        ({"kind": None}, "was not written by `ours`; give a file that was"),
    ],
)
def test_another_header_is_no_damage(file: Path, changes: dict[str, object], message: str) -> None:
    values = {"kind": "ours", "format": 1, "counts": {}, **changes}
    file.write_text(json.dumps({key: value for key, value in values.items() if value is not None}))
    with pytest.raises(ModelFileError) as told:
        read_document(file, Counts, fix=FIX, header={"kind": "ours", "format": 1})
    assert str(told.value) == f"{file} {message}"


def test_a_seal_is_compared(file: Path) -> None:
    file.write_text(sealed({"counts": {"a": 1}}))
    assert read_document(file, Counts, fix=FIX, sealed=True) == Counts({"a": 1})
    file.write_text(file.read_text().replace("1", "2", 1))
    with pytest.raises(ModelFileError, match="its checksum differs"):
        read_document(file, Counts, fix=FIX, sealed=True)
