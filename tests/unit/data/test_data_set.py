import random
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from ddnn.config import AugmentConfig, DataConfig
from ddnn.data import Data, open_data
from ddnn.errors import DataError
from ddnn_runtime.data_spec import DataSpec
from tests.unit.data.loaders import batches, same

DIGITS = DataConfig(batch_size=100, augment=AugmentConfig(erase=0.5, flip=True))


@pytest.fixture(scope="module")
def digits() -> Data:
    return open_data(DIGITS, 3)


def test_batches_are_what_a_network_takes(digits):
    loader = digits.training("cpu")
    assert len(loader) == len(batches(loader)) == 12  # 1438 - 144 held out, the last partial batch dropped
    for images, labels in loader:
        assert images.shape == (100, 1, 8, 8)
        assert images.dtype == torch.float32
        assert labels.shape == (100,)
        assert labels.dtype == torch.int64
    assert digits.spec == DataSpec(1, (8, 8), digits.spec.mean, digits.spec.std, tuple("0123456789"))


def test_the_parts_do_not_overlap_and_are_normalised(digits):
    watched, test = digits.validation("cpu") or [], digits.test("cpu")
    assert [sum(len(labels) for _, labels in loader) for loader in (watched, test)] == [144, 359]
    plain = open_data(replace(DIGITS, augment=AugmentConfig(crop=0), batch_size=1294), 0)
    images, _ = next(iter(plain.training("cpu")))
    assert images.mean().item() == pytest.approx(0, abs=1e-4)
    assert images.std().item() == pytest.approx(1, abs=1e-3)
    parts = [
        {image.numpy().tobytes() for images, _ in loader for image in images}
        for loader in (plain.training("cpu"), plain.validation("cpu") or [], plain.test("cpu"))
    ]
    assert not parts[0] & parts[1]
    assert not parts[0] & parts[2]


def test_training_depends_on_seed_and_epoch_alone(digits):
    loader = digits.training("cpu")
    first = batches(loader, 5)
    torch.manual_seed(1)
    random.seed(1)
    np.random.seed(1)
    batches(loader, 2)
    assert same(first, batches(loader, 5))
    assert same(first, batches(open_data(DIGITS, 3).training("cpu"), 5))
    assert not same(first, batches(loader, 6))
    assert not same(first, batches(open_data(DIGITS, 4).training("cpu"), 5))


def test_an_image_changes_differently_in_each_epoch():
    one = open_data(replace(DIGITS, train_images=1, validation=0, augment=AugmentConfig(crop=4)), 0).training("cpu")
    assert len({batches(one, epoch)[0][0].numpy().tobytes() for epoch in range(8)}) > 4


def test_a_broken_off_epoch_leaves_no_trace(digits):
    loader = digits.training("cpu")
    first = batches(loader, 1)
    next(iter(loader))
    assert same(first, batches(loader, 1))


def test_training_leaves_the_global_generators_alone(digits):
    state = torch.get_rng_state()
    batches(digits.training("cpu"))
    assert torch.equal(state, torch.get_rng_state())


def test_held_out_images_do_not_depend_on_the_seed(digits):
    other = open_data(DIGITS, 99)
    for mine, theirs in ((digits.validation("cpu"), other.validation("cpu")), (digits.test("cpu"), other.test("cpu"))):
        assert same(batches(mine), batches(theirs, 7))
    assert digits.spec == other.spec


def test_processes_share_the_training_images(digits):
    """And each image is changed as it would be with one process, whatever the number of processes and parts."""
    whole = batches(digits.training("cpu"), 3)
    for processes, parts in ((4, 1), (1, 5), (2, 2)):
        loaders = [digits.training("cpu", share=(rank, processes), parts=parts) for rank in range(processes)]
        shares = [batches(loader, 3) for loader in loaders]
        assert {len(share) for share in shares} == {len(loader) for loader in loaders} == {len(whole) * parts}
        for number, (images, _) in enumerate(whole):
            seen = [shares[rank][number * parts + part] for part in range(parts) for rank in range(processes)]
            expected = {image.numpy().tobytes() for image in images}
            assert {image.numpy().tobytes() for images, _ in seen for image in images} == expected


def test_an_epoch_can_begin_in_the_middle(digits):
    loader = digits.training("cpu")
    whole = batches(loader, 3)
    loader.set_epoch(3, 5)
    assert same(whole[5:], list(loader))


def test_processes_share_the_test_images(digits):
    tests = [digits.test("cpu", share=(rank, 3)) for rank in range(3)]
    assert sum(len(labels) for test in tests for _, labels in test) == 359


def test_a_batch_larger_than_the_training_set_is_the_whole_set():
    data = open_data(replace(DIGITS, train_images=50, batch_size=128), 0)
    assert [len(labels) for _, labels in data.training("cpu")] == [45]


def test_no_validation(digits):
    assert open_data(replace(DIGITS, validation=0), 0).validation("cpu") is None
    assert digits.validation("cpu") is not None


def test_digits_are_not_mirrored_unless_asked():
    plain = open_data(DataConfig(augment=AugmentConfig(crop=0), batch_size=1294), 0)
    asked = open_data(DataConfig(augment=AugmentConfig(crop=0, flip=True), batch_size=1294), 0)
    assert same(batches(plain.training("cpu")), batches(plain.training("cpu")))
    original = {image.numpy().tobytes() for image in next(iter(plain.training("cpu")))[0]}
    held = {image.numpy().tobytes() for image in next(iter(asked.training("cpu")))[0]}
    assert len(original & held) < 0.7 * len(original)


def test_erasing_leaves_the_mean_colour():
    shares = []
    for probability in (0.0, 1.0):
        augment = AugmentConfig(crop=0, erase=probability)
        images, _ = next(iter(open_data(replace(DIGITS, augment=augment), 0).training("cpu")))
        shares.append((images == 0).float().mean().item())
    assert shares[0] == 0
    assert 0.1 < shares[1] < 0.3


def test_train_images(digits):
    data = open_data(replace(DIGITS, train_images=100, validation=0.2), 0)
    assert [len(labels) for _, labels in data.training("cpu")] == [80]
    assert [len(labels) for _, labels in data.validation("cpu") or []] == [20]
    with pytest.raises(DataError, match="train_images asks for 5000 images, but digits has 1438"):
        open_data(replace(DIGITS, train_images=5000), 0)


def test_nothing_left_to_train_on():
    with pytest.raises(DataError, match="leaves none to train on"):
        open_data(replace(DIGITS, train_images=1), 0)


def test_images_can_be_resized():
    data = open_data(replace(DIGITS, image_size=20), 0)
    assert data.spec.size == (20, 20)
    assert next(iter(data.test("cpu")))[0].shape == (100, 1, 20, 20)


@pytest.mark.parametrize(
    ("size", "augment", "message"),
    [
        (None, {"policy": "autoaugment"}, "augment.policy autoaugment is for large images only .*these have 8"),
        (None, {"crop": 8}, "augment.crop pads by 8 pixels, which must be less than the image's 8"),
        (96, {"crop": 4}, "augment.crop is for images of at most 64 pixels a side, and these have 96"),
    ],
)
def test_augmentation_that_does_not_fit_the_size(size, augment, message):
    with pytest.raises(DataError, match=message):
        open_data(DataConfig(image_size=size, augment=AugmentConfig(**augment)), 0)


def test_a_stored_spec_prepares_images_and_leaves_other_splits_alone(make_folder):
    spec = DataSpec(1, (12, 12), (0.5,), (0.25,), ("cat", "dog"))
    root = make_folder({"train/cat": 1, "train/dog": 1, "val/cat": 2, "val/dog": 2})
    (root / "train" / "cat" / "0.png").write_bytes(b"damaged")
    data = open_data(DataConfig(data=f"folder:{root}", image_size=99), 0, spec=spec)
    assert data.spec is spec
    images, _ = next(iter(data.test("cpu")))
    assert images.shape == (4, 1, 12, 12)
    assert images.min() >= -2
    assert images.max() <= 2


def test_a_stored_spec_of_another_number_of_classes():
    with pytest.raises(DataError, match="digits has 10 classes, but the network was trained on 2"):
        open_data(DataConfig(), 0, spec=DataSpec(1, (8, 8), (0.5,), (0.5,), ("a", "b")))


def test_a_stored_spec_of_another_order_of_classes():
    with pytest.warns(UserWarning, match="in another order, and is scored by their names"):
        open_data(DataConfig(), 0, spec=DataSpec(1, (8, 8), (0.5,), (0.5,), tuple("9876543210")))


def test_heavy_libraries_load_only_when_used():
    code = "import sys, ddnn.data; print({'sklearn', 'pyarrow'} & {name.partition('.')[0] for name in sys.modules})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "set()"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_cuda_nothing_waits_for_the_device(digits):
    loader = digits.training("cuda")
    first = batches(loader, 1)
    assert same(first, batches(loader, 1))
    iterator = iter(loader)
    next(iterator)
    torch.cuda.set_sync_debug_mode("error")
    try:
        images, labels = next(iterator)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert images.is_cuda
    assert labels.is_cuda


def test_images_to_calibrate_with_are_whole_and_come_once():
    mixing = AugmentConfig(mixup=1.0, repeats=2)
    data = open_data(replace(DIGITS, augment=mixing), 3)
    plain = open_data(replace(DIGITS, augment=AugmentConfig()), 3)
    assert same(batches(data.for_norms("cpu")), batches(plain.training("cpu")))
    assert not same(batches(data.for_norms("cpu")), batches(data.training("cpu")))


def test_images_to_calibrate_with_have_the_size_of_test_images(make_folder):
    root = make_folder({"train/cat": 4, "train/dog": 4})
    augment = AugmentConfig(sizes={0: 66})
    config = DataConfig(f"folder:{root}", image_size=72, batch_size=4, workers=0, validation=0, augment=augment)
    data = open_data(config, 0)
    sides = [next(iter(loader("cpu")))[0].shape[-1] for loader in (data.training, data.for_norms)]
    assert sides == [66, 72]


def test_a_share_may_be_asked_for_by_its_older_name(digits):
    tests = [digits.test("cpu", shard=(rank, 3)) for rank in range(3)]
    assert sum(len(labels) for test in tests for _, labels in test) == 359
    assert same(batches(digits.training("cpu", shard=(1, 2)), 3), batches(digits.training("cpu", share=(1, 2)), 3))
