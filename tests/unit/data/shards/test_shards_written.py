"""Shards that were written from a folder are that folder, for training and for evaluation."""

import tarfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import webdataset

from ddnn.config import DataConfig
from ddnn.data import open_data
from ddnn.data.folder import open_folder
from ddnn.data.images import decode
from ddnn.data.shards.index import FILE
from ddnn.data.shards.writing import write_shards
from ddnn.data.sources import open_source
from ddnn.errors import DataError, DDNNError, UnreadableImageError
from tests.unit.data.loaders import batches, same


def content(split):
    return [(split.image(index, 3).numpy().tobytes(), int(split.labels[index])) for index in range(len(split))]


def test_images_labels_and_classes_are_those_of_the_folder(written):
    folder, root = written
    expected, source = open_folder(folder), open_source(f"shards:{root}", "unused")
    assert source.class_names == expected.class_names == ("cat", "dog")
    assert set(source.splits) == set(expected.splits) == {"train", "test"}
    train, expected_train = content(source.split("train")), content(expected.split("train"))
    assert Counter(train) == Counter(expected_train)
    assert train != expected_train  # a block of shards is to be like the whole
    assert content(source.split("test")) == content(expected.split("test"))


def test_shards_are_webdatasets(written):
    _, root = written
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.*"))
    assert paths[:2] == ["classes.txt", FILE]
    assert paths[2:4] == ["train/000000.tar", "train/000001.tar"]
    assert paths[-1].startswith("val/00000")
    for path in paths[2:]:
        with tarfile.open(root / path) as archive:
            names = archive.getnames()
        assert [name.rpartition(".")[2] for name in names] == ["png", "cls"] * (len(names) // 2)
        assert len({name.partition(".")[0] for name in names}) == len(names) // 2
        assert (root / path).stat().st_size <= 0.06 * 2**20 + tarfile.RECORDSIZE


def test_the_webdataset_package_reads_them(written):
    _, root = written
    test = open_source(f"shards:{root}", "unused").split("test")
    shards = sorted(map(str, (root / "val").glob("*.tar")))
    samples = list(webdataset.WebDataset(shards, shardshuffle=False))
    assert [int(sample["cls"]) for sample in samples] == test.labels.tolist()
    for index, sample in enumerate(samples):
        assert torch.equal(decode(sample["png"], 3, sample["__key__"]), test.image(index, 3))


def test_writing_twice_gives_the_same_bytes(written, tmp_path):
    folder, root = written
    write_shards(folder, tmp_path / "again", shard_mib=0.06)
    for path in root.rglob("*.*"):
        assert (tmp_path / "again" / path.relative_to(root)).read_bytes() == path.read_bytes()


def test_three_splits_and_class_folders_alone(make_folder, tmp_path):
    folder = make_folder({"train/a": 2, "train/b": 2, "val/a": 1, "val/b": 1, "test/a": 2, "test/b": 3})
    write_shards(folder, tmp_path / "three")
    source = open_source(f"shards:{tmp_path / 'three'}", "unused")
    assert {name: len(source.split(name)) for name in source.splits} == {"train": 4, "validation": 2, "test": 5}
    write_shards(folder / "test", tmp_path / "alone")
    alone, expected = open_source(f"shards:{tmp_path / 'alone'}", "unused"), open_folder(folder / "test")
    assert content(alone.split("test")) == content(expected.split("test"))


def test_what_exists_is_not_overwritten_and_failures_leave_nothing(written, tmp_path):
    folder, root = written
    with pytest.raises(DDNNError, match="exists already; give another folder, or remove it"):
        write_shards(folder, root)
    next((folder / "train/cat").iterdir()).unlink()
    (folder / "train/cat/x.png").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UnreadableImageError, match=r"Cannot read .*x\.png"):
        write_shards(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".new*"))


def loaded(root: Path, workers: int = 0, share=(0, 1), **changes):
    config = DataConfig(f"shards:{root}", image_size=72, batch_size=4, workers=workers, validation=0, **changes)
    return open_data(config, 1).training("cpu", share=share)


def test_training_depends_on_seed_and_epoch_alone(written):
    _, root = written
    here = loaded(root)
    expected = {epoch: batches(here, epoch) for epoch in (0, 3)}
    elsewhere = loaded(root, workers=2)
    assert same(batches(elsewhere, 3), expected[3])
    elsewhere.set_epoch(0, 2)
    assert same(list(elsewhere), expected[0][2:])
    for rank in range(2):
        for (images, labels), (own, own_labels) in zip(
            expected[3], batches(loaded(root, share=(rank, 2)), 3), strict=True
        ):
            assert torch.equal(own, images[rank::2])
            assert torch.equal(own_labels, labels[rank::2])


def test_an_image_that_cannot_be_decoded_is_named_by_its_shard_and_may_be_left_out(make_folder, tmp_path):
    folder = make_folder({"train/a": 3, "train/b": 3, "val/a": 2, "val/b": 2})
    (folder / "val/a/1.png").write_bytes(b"damaged")
    write_shards(folder, tmp_path / "shards")
    config = DataConfig(f"shards:{tmp_path / 'shards'}", image_size=72, workers=1)
    with pytest.raises(UnreadableImageError, match=r"^Cannot decode .*shards/val/000000\.tar: 0000001-1: not an image"):
        list(open_data(config, 0).test("cpu"))
    with pytest.warns(UserWarning, match="left out"):
        test = batches(open_data(replace(config, max_corrupt=1), 0).test("cpu"))
    assert sum(len(labels) for _, labels in test) == 3


@pytest.mark.parametrize("workers", [0, 1])
def test_a_shard_that_was_changed_or_is_missing_ends_the_run_in_one_line(written, workers):
    _, root = written
    shard = root / "val/000000.tar"
    loader = open_data(DataConfig(f"shards:{root}", image_size=72, workers=workers, max_corrupt=9), 0).test("cpu")
    shard.write_bytes(shard.read_bytes() + bytes(512))
    with pytest.raises(DataError, match=rf"^{shard} has \d+ bytes, and \d+ by the index.*shards index {root}$"):
        list(loader)
    shard.unlink()
    with pytest.raises(DataError, match=rf"^Cannot read {shard}: No such file or directory$"):
        list(loader)


def test_a_link_is_refused(written, tmp_path):
    _, root = written
    (root / "val/000000.tar").rename(tmp_path / "elsewhere.tar")
    (root / "val/000000.tar").symlink_to(tmp_path / "elsewhere.tar")
    with pytest.raises(DataError, match=r"000000\.tar is a link, or in a folder that is one"):
        open_source(f"shards:{root}", "")
    (tmp_path / "elsewhere.tar").rename(root / "val/000000.tar")
    (tmp_path / "link").symlink_to(root)
    open_source(f"shards:{tmp_path / 'link'}", "").split("train").image(0, 3)  # the root itself may be one


def test_small_images_live_in_memory(make_folder, tmp_path):
    folder = make_folder({"train/a": 4, "train/b": 4, "val/a": 2, "val/b": 2}, size=(10, 10))
    write_shards(folder, tmp_path / "shards")
    data = open_data(DataConfig(f"shards:{tmp_path / 'shards'}", validation=0), 0)
    assert data.size == (10, 10)
    assert same(list(data.test("cpu")), list(open_data(DataConfig(f"folder:{folder}", validation=0), 0).test("cpu")))
