"""Policies on whole batches: what torchvision does to one image at a time."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode, v2

from ddnn.config import AugmentConfig, DataConfig
from ddnn.data import open_data
from ddnn.data.policies import BINS, OPERATIONS, Drawn, apply, draw_policy, magnitudes
from tests.unit.data.loaders import batches, same

THEIRS = {"trivialaugment": v2.TrivialAugmentWide(), "randaugment": v2.RandAugment()}
DIGITS = DataConfig(batch_size=60, train_images=300, augment=AugmentConfig(policy="trivialaugment", erase=0.5))


def random_images(*shape: int) -> Tensor:
    """Noise, and among it dark images and those of one colour."""
    images = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images[::3] //= 3
    images[1::6] = images[1::6, :, :1, :1]
    return images


def one_by_one(policy: str, images: Tensor, drawn: Drawn) -> Tensor:
    own, change = THEIRS[policy], THEIRS[policy]._apply_image_or_video_transform
    return torch.stack([
        change(image, OPERATIONS[int(operation)], float(magnitude), InterpolationMode.NEAREST, own._fill)
        for image, operation, magnitude in zip(images, drawn.operation, drawn.magnitude, strict=True)
    ])  # fmt: skip


@pytest.mark.parametrize("policy", THEIRS)
@pytest.mark.parametrize("size", [(32, 32), (5, 7)])
def test_each_operation_is_as_strong_as_torchvisions(policy: str, size: tuple[int, int]) -> None:
    table, space = magnitudes(policy, size), THEIRS[policy]._AUGMENTATION_SPACE
    assert tuple(space) == OPERATIONS
    for own, (strength, _) in zip(table, space.values(), strict=True):
        theirs = strength(BINS, *size)
        assert torch.equal(own, torch.zeros(BINS) if theirs is None else theirs.float())


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 5, 7), (3, 2, 9)])
def test_each_operation_is_torchvisions_in_all_strengths(name: str, shape: tuple[int, int, int]) -> None:
    place = OPERATIONS.index(name)
    strengths = magnitudes("trivialaugment", shape[1:])[place]
    if THEIRS["trivialaugment"]._AUGMENTATION_SPACE[name][1]:
        strengths = torch.cat([strengths, -strengths])
    images, drawn = random_images(len(strengths), *shape), Drawn(torch.full((len(strengths),), place), strengths)
    ours, theirs = apply(images, drawn), one_by_one("trivialaugment", images, drawn)
    assert ours.dtype == torch.uint8
    far = (ours.int() - theirs.int()).abs()
    assert far.max() <= (1 if name in ("Color", "Contrast", "Sharpness") else 0)
    assert (far > 0).float().mean() < 0.02


@pytest.mark.parametrize("policy", THEIRS)
def test_a_batch_has_every_operation_and_each_sample_its_own(policy: str) -> None:
    images, generator = random_images(200, 3, 16, 16), torch.Generator().manual_seed(1)
    before, expected = images.clone(), images
    for drawn in draw_policy(policy, 200, (16, 16), generator):
        assert drawn.operation.unique().tolist() == list(range(len(OPERATIONS)))
        after = apply(expected, drawn)
        assert (after.int() - one_by_one(policy, expected, drawn).int()).abs().max() <= 1
        expected = after
    assert torch.equal(images, before)


def test_all_that_is_drawn_is_drawn_evenly() -> None:
    (drawn,) = draw_policy("trivialaugment", 30_000, (32, 32), torch.Generator().manual_seed(0))
    shares = drawn.operation.bincount(minlength=len(OPERATIONS)) / 30_000
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / len(OPERATIONS)), atol=0.01, rtol=0)
    turned = drawn.magnitude[drawn.operation == OPERATIONS.index("Rotate")]
    assert turned.unique().tolist() == [4.5 * step for step in range(-30, 31)]
    assert turned.mean().abs() < 6
    assert (drawn.magnitude[drawn.operation >= OPERATIONS.index("Posterize")] >= 0).all()
    first, second = draw_policy("randaugment", 1000, (32, 32), torch.Generator().manual_seed(0))
    assert not torch.equal(first.operation, second.operation)
    kinds = {0.0, *magnitudes("randaugment", (32, 32))[:, 9].tolist()}
    assert set(first.magnitude.abs().tolist()) == set(second.magnitude.abs().tolist()) == kinds


def test_a_loader_follows_from_seed_and_epoch_and_can_begin_in_the_middle() -> None:
    loader = open_data(DIGITS, 3).training("cpu")
    state = torch.get_rng_state()
    whole = batches(loader, 4)
    assert torch.equal(state, torch.get_rng_state())
    assert same(whole, batches(loader, 4))
    assert not same(whole, batches(loader, 5))
    loader.set_epoch(4, 2)
    assert same(whole[2:], list(loader))


def test_a_policy_leaves_crops_and_erasing_as_they_were() -> None:
    plain = open_data(replace(DIGITS, augment=AugmentConfig(erase=0.5)), 3).training("cpu")
    changed = open_data(DIGITS, 3).training("cpu")
    some_alike = 0
    for (images, labels), (others, same_labels) in zip(batches(plain), batches(changed), strict=True):
        assert torch.equal(labels, same_labels)
        alike = (images == others).flatten(1).all(1)
        some_alike += int(alike.sum())
        assert not alike.all()
    assert some_alike > 10  # those that drew the identity, or a strength of 0


def test_processes_and_parts_change_each_image_alike() -> None:
    whole = batches(open_data(DIGITS, 3).training("cpu"), 2)
    loaders = [open_data(DIGITS, 3).training("cpu", share=(rank, 2), parts=2) for rank in range(2)]
    shares = [batches(loader, 2) for loader in loaders]
    for number, (images, _) in enumerate(whole):
        seen = [shares[rank][2 * number + part][0] for part in range(2) for rank in range(2)]
        expected = {image.numpy().tobytes() for image in images}
        assert {image.numpy().tobytes() for images in seen for image in images} == expected


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("policy", THEIRS)
def test_on_cuda_it_is_the_same_and_nothing_waits_for_the_device(policy: str) -> None:
    images = random_images(200, 3, 32, 32)
    rounds = draw_policy(policy, 200, (32, 32), torch.Generator().manual_seed(1))
    there = images.cuda()
    apply(there, rounds[0])
    torch.cuda.set_sync_debug_mode("error")
    try:
        results = [apply(there, drawn) for drawn in rounds]
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for drawn, result in zip(rounds, results, strict=True):
        far = (result.cpu().int() - apply(images, drawn).int()).abs() > 1
        assert far.float().mean() < 1e-3  # a pixel half way between two may go to either
