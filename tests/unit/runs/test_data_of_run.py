"""Which data a run means: its own as it was divided, or what was asked for, of which nobody knows more."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import ddnn
from ddnn.config import AugmentConfig, DataConfig, ShardsConfig, TrainConfig
from ddnn.data import open_data
from ddnn.errors import DDNNError
from ddnn.runs.data_of_run import data_of_run, deciding_images, open_images
from ddnn.runs.run_directory import RunDirectory

TRAINED = TrainConfig(
    data="shards:here",
    data_root="there",
    train_images=400,
    validation=0.25,
    max_corrupt=3,
    batch_size=32,
    augment=AugmentConfig(erase=0.1),
    shards=ShardsConfig(index="index.parquet", cache="cache"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return RunDirectory(tmp_path / "run").create(TRAINED).path


def test_a_run_means_what_it_was_trained_on(run: Path) -> None:
    found = data_of_run(run)
    assert found.own
    assert found.config == TRAINED
    assert data_of_run(run, data_root="ignored", max_corrupt=5).config == replace(TRAINED, max_corrupt=5)


def test_unaugmented_it_has_the_same_division(run: Path) -> None:
    plain = data_of_run(run).unaugmented(8, workers=2)
    assert (plain.data, plain.data_root, plain.max_corrupt, plain.shards) == ("shards:here", "there", 3, TRAINED.shards)
    assert (plain.train_images, plain.validation, plain.batch_size, plain.workers) == (400, 0.25, 8, 2)
    assert plain.augment == AugmentConfig(crop=0, scale=1.0, flip=False)
    assert type(plain) is DataConfig


def test_of_other_data_nothing_is_known(run: Path) -> None:
    found = data_of_run(run, "cifar10", "elsewhere")
    assert not found.own
    expected = DataConfig("cifar10", "elsewhere", validation=0.0, batch_size=256, shards=ShardsConfig(cache="cache"))
    assert found.config == expected
    assert data_of_run(run, "cifar10", held_out=0.1).config.validation == 0.1
    assert data_of_run(run, "cifar10", max_corrupt=2).config.max_corrupt == 2


def test_the_run_s_own_name_counts_as_other_data_unless_that_is_said(run: Path) -> None:
    assert not data_of_run(run, "shards:here").own
    again = data_of_run(run, "shards:here", "moved", named_again="own")
    assert again.own
    assert again.config == replace(TRAINED, data_root="moved")
    assert not data_of_run(run, "cifar10", named_again="own").own


def test_a_saved_network_does_not_know_its_data(tmp_path: Path) -> None:
    with pytest.raises(DDNNError, match="give --data"):
        data_of_run(tmp_path / "network")
    assert data_of_run(tmp_path / "network", "digits").config.data == "digits"


def test_held_out_images_decide_and_test_images_where_there_are_none() -> None:
    def first(batches: object) -> np.ndarray:
        return next(iter(batches))[0].numpy()  # type: ignore[call-overload]

    divided, whole = (open_data(DataConfig(validation=share), seed=0) for share in (0.2, 0.0))
    images, split = deciding_images(divided, "cpu")
    assert split == "validation"
    assert np.array_equal(first(images), first(divided.validation("cpu")))
    images, split = deciding_images(whole, "cpu")
    assert split == "test"
    assert np.array_equal(first(images), first(whole.test("cpu")))


def test_data_that_does_not_fit_the_network_is_refused() -> None:
    with pytest.raises(DDNNError, match="1 channels, the network 10 and 3"):
        open_images(ddnn.build("resnet8", num_classes=10), DataConfig())
