"""An index is not believed: what is damaged is refused, and what is forged leads nowhere."""

import re
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn.data.shards.index import SCHEMA, Shard, ShardIndex, parse_index, table_of, write_index
from ddnn.errors import DataError

SHARDS = (Shard("train", "train/0.tar", 4096, "0" * 64), Shard("test", "val/0.tar", 2048, "f" * 64))
ROWS = [(0, "a", 512, 100, 0), (0, "é", 1536, 0, 1), (1, "", 1000, 1048, 1)]
INDEX = ShardIndex(("cat", "dog"), SHARDS, table_of(ROWS))


def stored(index: ShardIndex, folder: Path) -> bytes:
    write_index(index, folder / "index.parquet")
    return (folder / "index.parquet").read_bytes()


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    return stored(INDEX, tmp_path_factory.mktemp("index"))


def test_what_is_written_is_read(content):
    assert parse_index(content, "it") == INDEX


@settings(max_examples=500, deadline=None)
@given(st.data())
def test_a_damaged_index_is_refused_or_the_same(content, data):
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))]
    try:
        assert parse_index(bytes(damaged), "it") == INDEX
    except DataError as error:
        message = str(error)
        assert re.fullmatch(r"it is damaged or no index of shards \(.*\): make it anew with .*", message)


@pytest.mark.parametrize(
    "path",
    ["../0.tar", "train/../../0.tar", "/etc/0.tar", "train//0.tar", "./0.tar", "~/0.tar", "a\\0.tar", "C:/0.tar",
     "0.tar/", "http://h/0.tar", "%2e%2e/0.tar", "0.tar?x=.tar", "0.zip", ".hidden.tar", "", "a\n.tar", "a\0.tar",
     "é.tar", ".tar"],
)  # fmt: skip
def test_paths_that_lead_elsewhere(path, tmp_path):
    forged = replace(INDEX, shards=(replace(SHARDS[0], path=path), SHARDS[1]))
    with pytest.raises(DataError, match="is no path of a shard"):
        parse_index(stored(forged, tmp_path), "it")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((2, "a", 0, 0, 0), "row 0: it is in no shard"),
        ((-1, "a", 0, 0, 0), "row 0: it is in no shard"),
        ((0, "a", -1, 0, 0), "row 0: it is not within its shard"),
        ((0, "a", 0, -1, 0), "row 0: it is not within its shard"),
        ((0, "a", 4096, 1, 0), "row 0: it is not within its shard"),
        ((0, "a", 2**63 - 1, 2**63 - 1, 0), "row 0: it is not within its shard"),
        ((0, "a", 0, 0, 2), "row 0: its class is none of the 2, which are numbered from 0"),
        ((0, "a", 0, 0, -1), "row 0: its class is none of the 2"),
        ((1, "a", 0, 0, 0), "not in the order of the shards"),
    ],
)
def test_rows_that_cannot_be(row, message, tmp_path):
    with pytest.raises(DataError, match=message):
        parse_index(stored(replace(INDEX, samples=table_of([row, *ROWS])), tmp_path), "it")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "training"}, r"shards\[0\]\.split must be train, validation or test, not 'training'"),
        ({"size": -1}, r"shards\[0\]\.size must be a whole number from 0 to \d+, not -1"),
        ({"size": True}, r"shards\[0\]\.size must be an integer, not True"),
        ({"sha256": "../../x"}, "must be a SHA-256 in hexadecimal digits, not"),
        ({"sha256": None}, r"shards\[0\]\.sha256 must be text, not None"),
    ],
)
def test_shards_that_cannot_be(changes, message, tmp_path):
    forged = replace(INDEX, shards=(replace(SHARDS[0], **changes), SHARDS[1]))
    with pytest.raises(DataError, match=message):
        parse_index(stored(forged, tmp_path), "it")


def test_files_that_are_no_index(tmp_path):
    pq.write_table(pa.table({"image": [b""], "label": [0]}), tmp_path / "other.parquet")
    with pytest.raises(DataError, match="damaged or no index of shards"):
        parse_index((tmp_path / "other.parquet").read_bytes(), "it")
    metadata = pq.read_schema(pa.BufferReader(stored(INDEX, tmp_path))).metadata
    gaps = pa.table([pa.array([None] * 3, field.type) for field in SCHEMA], SCHEMA)
    pq.write_table(gaps.replace_schema_metadata(metadata), tmp_path / "gaps.parquet")
    with pytest.raises(DataError, match="it has gaps"):
        parse_index((tmp_path / "gaps.parquet").read_bytes(), "it")
    with pytest.raises(DataError, match="its columns are not shard, key, offset, size, label"):
        parse_index(stored(replace(INDEX, samples=INDEX.samples.drop_columns("key")), tmp_path), "it")
