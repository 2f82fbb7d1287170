"""Shards on a server of this machine: what is trained on is the same, each comes once, and what may go wrong does."""

import contextlib
import multiprocessing
import os
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from filelock import FileLock

from ddnn.config import DataConfig, ShardsConfig
from ddnn.data import open_data
from ddnn.data.shards.cache import GIB, ShardCache
from ddnn.data.shards.index import ShardIndex, parse_index
from ddnn.data.sources import open_source
from ddnn.errors import DataError
from ddnn_runtime.data_spec import DataSpec
from tests.unit.data.loaders import batches, same
from tests.unit.data.shards.command import shards as main


@pytest.fixture
def cache(tmp_path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def config(server, cache) -> DataConfig:
    shards = ShardsConfig(cache=str(cache), block=2)
    return DataConfig(f"shards:{server.url}/", image_size=72, batch_size=4, workers=0, validation=0, shards=shards)


@pytest.fixture
def index(written) -> ShardIndex:
    return parse_index((written[1] / "index.parquet").read_bytes(), "it")


def sent_shards(server) -> dict[str, int]:
    return {path: count for path, count in server.sent.items() if path.endswith(".tar")}


def test_evaluation_is_that_of_the_shards_here(config, server, written):
    here = replace(config, data=f"shards:{written[1]}")
    expected = batches(open_data(here, 0).test("cpu"))
    assert same(batches(open_data(config, 0).test("cpu")), expected)
    assert same(batches(open_data(replace(config, workers=2), 0).test("cpu")), expected)
    assert sent_shards(server) == {f"/val/00000{number}.tar": 1 for number in range(3)}


def test_training_has_the_images_of_the_shards_here_in_an_order_of_its_own(config, server, written):
    remote, here = (
        open_source(data, "", config.shards).split("train") for data in (config.data, f"shards:{written[1]}")
    )
    assert here.blocks is None
    assert [remote.image(index, 3).numpy().tobytes() for index in range(21)] == [
        here.image(index, 3).numpy().tobytes() for index in range(21)
    ]
    assert np.array_equal(remote.labels, here.labels)
    pickled = pickle.loads(pickle.dumps(remote))  # as for workers that are not forked
    assert torch.equal(pickled.image(0, 3), remote.image(0, 3))
    assert pickled.blocks.fetch(0) is None
    assert set(sent_shards(server).values()) == {1}


def test_training_depends_on_seed_and_epoch_alone(config):
    alone = open_data(config, 1).training("cpu")
    expected = batches(alone, 3)
    assert not same(expected, batches(alone, 4))
    with_workers = open_data(replace(config, workers=2), 1).training("cpu")
    assert same(batches(with_workers, 3), expected)
    with_workers.set_epoch(3, 2)
    assert same(list(with_workers), expected[2:])
    for rank in range(2):
        share = batches(open_data(config, 1).training("cpu", share=(rank, 2)), 3)
        assert all(torch.equal(own, whole[rank::2]) for (own, _), (whole, _) in zip(share, expected, strict=True))


def test_the_cache_is_as_large_as_is_said_and_an_epoch_of_blocks_needs_each_shard_once(config, server, index, cache):
    sizes = [shard.size for shard in index.shards if shard.split == "train"]
    assert len(sizes) == 7
    limit = sum(sorted(sizes)[-4:])  # two blocks of two
    config = replace(config, batch_size=1, shards=replace(config.shards, cache_gib=limit / GIB))
    training = open_data(config, 0).training("cpu")
    training.set_epoch(5)
    assert all(held(cache) <= limit for _ in training)
    assert set(sent_shards(server).values()) == {1}
    less = replace(config, shards=replace(config.shards, cache_gib=(limit - 1) / GIB))
    with pytest.raises(
        DataError, match=r"shards\.cache_gib of .* is too little for two blocks of 2 shards: give at least"
    ):
        open_data(less, 0)
    assert len(open_data(less, 0, DataSpec(3, (72, 72), (0.5,) * 3, (0.5,) * 3, ("cat", "dog"))).test("cpu"))


def test_what_was_used_last_stays(server, index, cache):
    first, second, third = index.shards[:3]
    store = ShardCache(server.url, cache, first.size + max(second.size, third.size))
    for shard, age in ((first, 200), (second, 100)):
        store.fetch(shard)
        os.utime(cache / f"{shard.sha256}.tar", (time.time() - age,) * 2)
    with store.open(first) as still_open:
        store.fetch(third)
        kept = {path.stem for path in cache.glob("*.tar")}
        assert kept == {first.sha256, third.sha256}
        (cache / f"{first.sha256}.tar").unlink()
        assert len(still_open.read()) == first.size  # what is deleted can be read to its end by whoever has it open
    store.open(first).close()
    assert server.sent[f"/{first.path}"] == 2
    with pytest.raises(DataError, match=r"the cache may hold: train with more \(--shards\.cache_gib\)"):
        ShardCache(server.url, cache, 100).fetch(second)


def test_a_file_that_was_cut_off_in_the_cache_and_downloads_of_killed_processes_are_replaced(server, index, cache):
    shard, store = index.shards[0], ShardCache(server.url, cache, 10**6)
    store.fetch(shard)
    path = cache / f"{shard.sha256}.tar"
    path.write_bytes(path.read_bytes()[:100])
    path.with_suffix(".partial").write_bytes(b"from somebody who is gone")
    with store.open(shard) as file:
        assert len(file.read()) == shard.size
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".lock", ".tar"]


def held(cache: Path) -> int:
    """Bytes in the cache, while threads may be at work there: once in a while a shard counts by both of its names."""
    return min(_sum_of_sizes(cache) for _ in range(3))


def _sum_of_sizes(folder: Path) -> int:
    sizes = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            sizes.append(path.stat().st_size)
    return sum(sizes)


def test_room_that_others_are_using_is_waited_for_and_that_of_the_dead_is_taken(server, index, cache):
    first, second = index.shards[:2]
    store = ShardCache(server.url, cache, max(first.size, second.size))
    cache.mkdir()
    partial = cache / f"{first.sha256}.partial"
    partial.write_bytes(bytes(first.size))
    with ThreadPoolExecutor(1) as pool:
        with FileLock(partial.with_suffix(".lock")):
            fetching = pool.submit(store.fetch, second)
            time.sleep(0.4)
            assert not fetching.done()
            assert partial.exists()
        fetching.result(10)
    assert [path.stem for path in cache.glob("*.[tp]a*")] == [second.sha256]


def _drop(_: bytes) -> None:
    return None


def _cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def _change(content: bytes) -> bytes:
    return content[:600] + bytes([content[600] ^ 1]) + content[601:]


@pytest.mark.parametrize("fault", [_drop, _cut, _change])
def test_what_goes_wrong_once_or_twice_is_tried_again_and_then_named(server, index, cache, fault):
    shard, store = index.shards[0], ShardCache(server.url, cache, 10**6)
    server.faults[f"/{shard.path}"] = [fault, fault]
    with store.open(shard) as file:
        assert len(file.read()) == shard.size
    (cache / f"{shard.sha256}.tar").unlink()
    server.faults[f"/{shard.path}"] = [fault] * 9
    with pytest.raises(
        DataError, match=rf"^Cannot read {server.url}/train/000000\.tar, after 3 attempts: [^\n]+$"
    ) as caught:
        store.open(shard)
    assert ("checksum" in str(caught.value)) == (fault is _change)
    assert not list(cache.glob("*.tar")) + list(cache.glob("*.partial"))


def test_a_shard_that_was_changed_on_the_server(server, index, cache, written):
    shard, path = index.shards[0], written[1] / index.shards[0].path
    for content in (path.read_bytes() + b"more", path.read_bytes()[:-1000]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"it has {shard.size} bytes by the index, and .* came; .*index anew"):
            ShardCache(server.url, cache, 10**6).open(shard)
    path.unlink()
    with pytest.raises(DataError, match=r"Cannot read .*train/000000\.tar: it is not there, or may not be read"):
        ShardCache(server.url, cache, 10**6).open(shard)
    assert server.sent[f"/{shard.path}"] == 3 + 3 + 1


@pytest.mark.parametrize("workers", [0, 1])
def test_a_server_that_is_gone_ends_the_run_in_one_line(config, server, workers, written):
    loader = open_data(replace(config, workers=workers, max_corrupt=9), 0).test("cpu")
    (written[1] / "val/000000.tar").unlink()
    with pytest.raises(DataError, match=r"^Cannot read http://127.0.0.1:\d+/val/000000\.tar: it is not there[^\n]*$"):
        list(loader)
    with pytest.raises(DataError, match=r"Cannot read http://127.0.0.1:1/index.parquet, after 3 attempts"):
        open_source("shards:http://127.0.0.1:1", "")


def _fetch(url, cache, shard, barrier):
    barrier.wait()
    ShardCache(url, cache, 10**6).open(shard).close()


def test_processes_and_threads_download_a_shard_once(server, index, cache):
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(2)
    processes = [
        context.Process(target=_fetch, args=(server.url, cache, shard, barrier)) for shard in index.shards[:1] * 2
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    store = ShardCache(server.url, cache, 10**6)
    with ThreadPoolExecutor(8) as pool:
        for file in pool.map(store.open, index.shards[1:2] * 8):
            file.close()
    assert sent_shards(server) == {"/train/000000.tar": 1, "/train/000001.tar": 1}


def test_shards_of_others_are_indexed_from_the_server_and_used_with_an_index_here(
    config, server, index, tmp_path, written
):
    place = tmp_path / "mine.parquet"
    server.faults["/train/000001.tar"] = [_drop, _cut]
    given = ["--train", "train/{000000..000006}.tar", "--val", "val/{000000..000002}.tar"]
    names = ["--classes", str(written[1] / "classes.txt")]
    assert main(["index", server.url, *given, *names, "--output", str(place)]) == 0
    assert parse_index(place.read_bytes(), "mine") == index
    (written[1] / "index.parquet").unlink()
    with pytest.raises(DataError, match=r"Cannot read .*/index\.parquet: it is not there.*ddnn shards index"):
        open_data(config, 0)
    data = open_data(replace(config, shards=replace(config.shards, index=str(place))), 0)
    assert sum(len(labels) for _, labels in data.test("cpu")) == 7


def test_a_cache_that_cannot_be_written(server, index, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        DataError, match=r"Cannot keep http.*000000\.tar in .*/file/cache: Not a directory; train with another"
    ):
        ShardCache(server.url, tmp_path / "file/cache", 10**6).open(index.shards[0])


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ftp://host/x", "a URL that begins with http://, https://, s3://"),
        ("file:///etc", "a URL that begins with"),
        ("simplecache::http://host/x", "a URL that begins with"),
        ("s3://bucket/x", "s3:// needs a package that is not installed: .*s3fs"),
    ],
)
def test_where_shards_cannot_be(url, message):
    if "s3fs" in message:
        try:
            import s3fs  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError:
            pass
        else:
            pytest.skip("s3fs is installed")
    with pytest.raises(DataError, match=message):
        open_source(f"shards:{url}", "")
