import gc
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ddnn.config import AugmentConfig, DataConfig
from ddnn.data import open_data, read_image
from ddnn.data.images import normalise
from ddnn.data.large import training_transform
from ddnn.errors import UnreadableImageError
from ddnn_runtime.data_spec import DataSpec
from tests.unit.data.loaders import batches, same


@pytest.fixture
def config(make_folder) -> DataConfig:
    root = make_folder({"train/cat": 6, "train/dog": 5, "val/cat": 2, "val/dog": 3})
    augment = AugmentConfig(erase=0.5, policy="randaugment")
    return DataConfig(data=f"folder:{root}", image_size=72, batch_size=4, workers=0, validation=0, augment=augment)


def test_training_depends_on_seed_and_epoch_alone(config):
    here = open_data(config, 1).training("cpu")
    expected = {epoch: batches(here, epoch) for epoch in (0, 3)}
    assert [images.shape for images, _ in expected[0]] == [(4, 3, 72, 72)] * 2
    torch.manual_seed(5)
    elsewhere = open_data(replace(config, workers=2), 1).training("cpu")
    assert same(batches(elsewhere, 3), expected[3])
    assert same(batches(elsewhere, 0), expected[0])  # the workers live on and still learn of the new epoch
    assert not same(expected[0], expected[3])
    assert not same(batches(open_data(config, 2).training("cpu"), 0), expected[0])


def test_an_image_changes_differently_in_each_epoch(config):
    one = open_data(replace(config, train_images=1), 0).training("cpu")
    assert len({batches(one, epoch)[0][0].numpy().tobytes() for epoch in range(5)}) == 5


def test_training_leaves_the_global_generator_alone(config):
    state = torch.get_rng_state()
    batches(open_data(config, 0).training("cpu"))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("policy", ["none", "autoaugment", "randaugment", "trivialaugment"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_policy_works_on_grey_and_colour(config, policy, channels):
    spec = DataSpec(channels, (72, 80), (0.5,) * channels, (0.2,) * channels, ("cat", "dog"))
    data = open_data(replace(config, augment=AugmentConfig(policy=policy)), 0, spec=spec)
    assert next(iter(data.training("cpu")))[0].shape == (4, channels, 72, 80)


@pytest.mark.parametrize("mean", [(0.3,), (0.4914, 0.4822, 0.4465)])
def test_what_is_erased_is_0_once_it_is_normalised_to_within_half_a_level(mean):
    std = tuple(0.2 + 0.01 * channel for channel in range(len(mean)))
    spec = DataSpec(len(mean), (72, 80), mean, std, ("cat", "dog"))
    white = torch.full((len(mean), 90, 100), 255, dtype=torch.uint8)
    torch.manual_seed(0)  # one in some ten thousand draws has no rectangle that fits
    image = training_transform(spec, AugmentConfig(erase=1.0), flip=True)(white)
    assert image.dtype == torch.uint8
    erased = (image != 255).any(0)
    assert 0.01 < erased.float().mean() < 0.4
    values = normalise(image, mean, std)[:, erased]
    half_a_level = torch.tensor([0.5 / (255 * s) for s in std])[:, None]
    assert (values.abs() <= half_a_level + 1e-6).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_without_erasing_nothing_is_erased(channels):
    spec = DataSpec(channels, (72, 80), (0.5,) * channels, (0.2,) * channels, ("cat", "dog"))
    white = torch.full((channels, 90, 100), 255, dtype=torch.uint8)
    prepare = training_transform(spec, AugmentConfig(erase=0.0), flip=True)
    assert all(bool((prepare(white) == 255).all()) for _ in range(10))


def test_evaluation_prepares_images_like_read_image(config):
    data = open_data(config, 0)
    root = config.data.partition(":")[2]
    test = batches(data.test("cpu"))
    assert [labels.tolist() for _, labels in test] == [[0, 0, 1, 1], [1]]
    assert torch.equal(test[0][0][1], read_image(f"{root}/val/cat/1.png", data.spec))


def test_digits_can_be_large():
    data = open_data(DataConfig(image_size=96, batch_size=2, workers=0), 0)
    assert data.spec.input_shape == (1, 96, 96)
    assert len(data.spec.mean) == 1
    assert next(iter(data.training("cpu")))[0].shape == (2, 1, 96, 96)


def test_processes_share_the_training_images(config):
    data = open_data(config, 0)
    whole, *shares = (list(data.training("cpu", share=share)) for share in ((0, 1), (0, 2), (1, 2)))
    for (images, labels), *parts in zip(whole, *shares, strict=True):
        for rank, (own_images, own_labels) in enumerate(parts):
            assert torch.equal(own_images, images[rank::2])
            assert torch.equal(own_labels, labels[rank::2])


def error_of(loader) -> str:
    try:  # pytest.raises would hold the traceback, and so the workers
        batches(loader)
    except UnreadableImageError as error:
        return str(error)
    pytest.fail("nothing was raised")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_damaged_image_is_named_in_one_line_and_workers_end_at_once(config, workers):
    path = Path(config.data.partition(":")[2]) / "val" / "dog" / "1.png"
    path.write_bytes(b"damaged")
    loader = open_data(replace(config, workers=workers), 0).test("cpu")
    assert error_of(loader) == f"Cannot decode {path}: not an image in a known format"
    gc.disable()
    try:
        start = time.monotonic()
        del loader
        assert not multiprocessing.active_children()
        assert time.monotonic() - start < 4  # torch waits five seconds for each worker that is left to the collector
    finally:
        gc.enable()


def test_images_grow_with_the_epochs_and_repeats_differ(config):
    augment = AugmentConfig(sizes={0: 96, 2: 128}, repeats=2)
    training = open_data(replace(config, augment=augment, image_size=160, batch_size=4), 0).training("cpu")
    seen = [batches(training, epoch)[0][0] for epoch in range(4)]
    assert [images.shape[2:] for images in seen] == [(96, 96), (96, 96), (128, 128), (128, 128)]
    assert not torch.equal(seen[0][0], seen[0][1])  # one image, twice
    plain = open_data(replace(config, image_size=160, batch_size=4), 0)
    assert plain.training("cpu").__iter__().__next__()[0].shape[2:] == (160, 160)
    assert open_data(replace(config, augment=augment, image_size=160), 0).size == (160, 160)
