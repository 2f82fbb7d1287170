import hashlib
import pickle
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torchvision.datasets import CIFAR10, CIFAR100

from ddnn.data import DATA_SETS
from ddnn.data.sources import open_source
from ddnn.data.splits import hold_out, subset
from ddnn.errors import DataError


def test_digits_are_the_bundled_ones_divided_with_each_class_share():
    source = open_source("digits", "unused")
    train, test = source.split("train"), source.split("test")
    assert (len(train), len(test)) == (1438, 359)
    assert source.class_names == tuple("0123456789")
    assert source.channels == 1
    index = int(test.indices[0])
    images, labels = load_digits(return_X_y=True)
    expected = np.round(np.reshape(images[index], (8, 8)) * 255 / 16)
    assert np.array_equal(test.image(0, 1)[0].numpy(), expected)
    assert test.labels[0] == labels[index]
    assert test.image(0, 3).shape == (3, 8, 8)
    assert np.abs(np.bincount(test.labels) / len(test) - np.bincount(train.labels) / len(train)).max() < 0.003
    assert not set(train.indices) & set(test.indices)


def test_hold_out_is_stratified_where_classes_have_enough():
    labels = np.repeat(np.arange(5), [10, 20, 30, 40, 100])
    kept, held = hold_out(labels, 0.1)
    assert np.bincount(labels[held]).tolist() == [1, 2, 3, 4, 10]
    assert sorted([*kept, *held]) == list(range(200))
    assert np.array_equal(held, hold_out(labels, 0.1)[1])


def test_hold_out_without_enough_images_a_class_still_divides():
    kept, held = hold_out(np.arange(10), 0.2)
    assert (len(kept), len(held)) == (8, 2)
    assert len(hold_out(np.zeros(5, dtype=int), 0.01)[1]) == 1


def test_hold_out_that_leaves_nothing():
    with pytest.raises(DataError, match=r"Holding out 0.9 of 1 images leaves none to train on"):
        hold_out(np.zeros(1, dtype=int), 0.9)


def test_subset_keeps_each_class_share():
    labels = np.repeat([0, 1], [30, 60])
    assert np.bincount(labels[subset(labels, 30)]).tolist() == [10, 20]
    assert subset(labels, 90).tolist() == list(range(90))
    assert len(subset(labels, 1)) == 1
    assert len(subset(labels, 89)) == 89


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("digit", "There is no data set 'digit'; did you mean digits"),
        ("cifar-10", "There is no data set 'cifar-10'; did you mean cifar10"),
        ("imagenot", f"There is no data set 'imagenot'; .*Allowed: {', '.join(DATA_SETS)}"),
        ("imagenet", "ImageNet is not in unused: expected train/WNID"),
        ("digits:8", "There is no data set 'digits:8'"),
        ("folder", "'folder' needs a path: write folder:PATH"),
        ("parquet:", "'parquet:' needs a path: write parquet:PATH"),
        ("shards", "'shards' needs a path: write shards:PATH"),
        ("shard:x", "There is no data set 'shard:x'; did you mean shards:PATH"),
        ("folder:/no/such", "There is no folder /no/such: expected train/CLASS"),
        ("parquet:/no/such", "There is no folder /no/such: expected train.parquet"),
    ],
)
def test_wrong_names(name, message):
    with pytest.raises(DataError, match=message):
        open_source(name, "unused")


def test_home_folder_is_expanded(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DataError, match=f"There is no folder {tmp_path}/images"):
        open_source("folder:~/images", "unused")


def write_cifar(root: Path, data_set: type[CIFAR10], monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Files in CIFAR's layout, with two images each, whose checksums torchvision is made to expect."""
    folder = root / data_set.base_folder
    folder.mkdir(parents=True)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3072), dtype=np.uint8)
    key = "fine_labels" if data_set is CIFAR100 else "labels"

    def write(name: str, content: dict) -> list[str]:
        (folder / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((folder / name).read_bytes()).hexdigest()]

    for part in ("train_list", "test_list"):
        lists = [write(name, {"data": pixels, key: [0, 1]}) for name, _ in getattr(data_set, part)]
        monkeypatch.setattr(data_set, part, lists)
    name, names_key = data_set.meta["filename"], data_set.meta["key"]
    _, checksum = write(name, {names_key: ["apple", "boat"]})
    monkeypatch.setattr(data_set, "meta", {"filename": name, "key": names_key, "md5": checksum})
    return pixels


@pytest.mark.parametrize(("name", "data_set"), [("cifar10", CIFAR10), ("cifar100", CIFAR100)])
def test_cifar_is_read_from_data_root(name, data_set, tmp_path, monkeypatch):
    pixels = write_cifar(tmp_path, data_set, monkeypatch)
    source = open_source(name, str(tmp_path))
    assert source.class_names == ("apple", "boat")
    assert len(source.split("train")) == 2 * len(data_set.train_list)
    test = source.split("test")
    assert test.labels.tolist() == [0, 1]
    assert torch.equal(test.image(1, 3), torch.from_numpy(pixels[1].reshape(3, 32, 32)))


def test_cifar_that_cannot_be_downloaded(tmp_path, monkeypatch):
    def fail(self: CIFAR10) -> None:
        raise URLError("no network")

    monkeypatch.setattr(CIFAR10, "download", fail)
    with pytest.raises(
        DataError,
        match=r"CIFAR10 is not in .* cannot be downloaded .*no network.*"
        r"unpack cifar-10-python.tar.gz .* into .*cifar-10-batches-py",
    ):
        open_source("cifar10", str(tmp_path))
