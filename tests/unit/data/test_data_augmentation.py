import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from ddnn.data.augmentation import (
    Augmentation,
    Rectangles,
    Shifts,
    draw_rectangles,
    draw_shifts,
    erase,
    shift,
)


def naive_shift(images: Tensor, shifts: Shifts) -> Tensor:
    height, width = images.shape[2:]
    results = []
    for image, top, left, flipped in zip(images, shifts.top, shifts.left, shifts.flipped, strict=True):
        padded = functional.pad(image, [shifts.padding] * 4)
        crop = padded[:, top : top + height, left : left + width]
        results.append(crop.flip(2) if flipped else crop)
    return torch.stack(results)


def naive_erase(images: Tensor, boxes: Rectangles) -> Tensor:
    images = images.clone()
    for index, image in enumerate(images):
        top, left, height, width = (int(part[index]) for part in (boxes.top, boxes.left, boxes.height, boxes.width))
        image[:, top : top + height, left : left + width] = 0
    return images


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 5),
    st.sampled_from([1, 3]),
    st.integers(2, 9),
    st.integers(2, 9),
    st.integers(0, 6),
    st.booleans(),
    st.integers(0, 1000),
)
def test_shift_equals_a_loop_over_samples(batch, channels, height, width, padding, flip, seed):
    images = torch.randint(0, 256, (batch, channels, height, width), dtype=torch.uint8, generator=generator(seed))
    shifts = draw_shifts(batch, Augmentation(padding, flip, 0), generator(seed))
    assert torch.equal(shift(images, shifts), naive_shift(images, shifts))


def test_shifts_reach_every_offset_evenly_and_half_are_flipped():
    shifts = draw_shifts(20_000, Augmentation(2, True, 0), generator())
    for offsets in (shifts.top, shifts.left):
        shares = offsets.bincount(minlength=5) / len(offsets)
        assert shares.shape == (5,)
        assert torch.allclose(shares, torch.full((5,), 0.2), atol=0.02)
    assert shifts.flipped.float().mean().item() == pytest.approx(0.5, abs=0.02)
    assert torch.corrcoef(torch.stack([shifts.top.float(), shifts.left.float()]))[0, 1].abs() < 0.03


def test_no_crop_and_no_flip_change_nothing():
    images = torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(shift(images, draw_shifts(4, Augmentation(0, False, 0), generator())), images)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(4, 40), st.integers(4, 40), st.integers(0, 1000))
def test_erase_equals_a_loop_over_samples(batch, height, width, seed):
    images = torch.rand(batch, 3, height, width) + 1
    boxes = draw_rectangles(batch, (height, width), 0.7, generator(seed))
    assert torch.equal(erase(images, boxes), naive_erase(images, boxes))


@pytest.mark.parametrize("size", [(32, 32), (8, 8), (64, 32)])
def test_rectangles_are_inside_and_as_large_as_the_paper_says(size):
    height, width = size
    boxes = draw_rectangles(5000, size, 1.0, generator())
    erased = boxes.height > 0
    assert erased.float().mean() > 0.99
    tall, wide = boxes.height[erased], boxes.width[erased]
    assert ((tall < height) & (wide < width)).all()
    assert (boxes.top[erased] + tall).max() == height  # the last row is reached, and no more
    assert (boxes.left[erased] + wide).max() == width
    assert boxes.top.min() == boxes.left.min() == 0
    if size == (32, 32):  # rounding to whole pixels leaves little play here
        area = (tall * wide) / (height * width)
        assert 0.01 < area.min() < 0.03
        assert 0.3 < area.max() < 0.36
        aspect = tall / wide
        assert 0.2 < aspect.min() < 0.35
        assert 2.9 < aspect.max() < 5


def test_erasing_has_the_probability_asked_for():
    boxes = draw_rectangles(20_000, (32, 32), 0.25, generator())
    assert (boxes.height > 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert (draw_rectangles(100, (32, 32), 0.0, generator()).height == 0).all()
