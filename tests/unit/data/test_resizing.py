"""Three ways to bring an image to a size, with torch and without, and what they cost."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms.v2 import functional

from ddnn.data.images import resize
from ddnn.data.random_crop import random_crop
from ddnn_runtime.pixels import resized
from ddnn_runtime.reading import Reading, Resize

BACK = (250, 10, 20)
READINGS = {way: Reading(resize=way, background=BACK) for way in ("crop", "pad", "squeeze")}
sides = st.integers(1, 120)


def photograph(height: int, width: int, channels: int = 3) -> torch.Tensor:
    """Smooth, because two libraries that round differently must differ by little."""
    rows = torch.linspace(0, 200, height)[:, None] + torch.linspace(0, 50, width)
    return torch.stack([rows / (1 + number) for number in range(channels)]).to(torch.uint8)


def by_both(image: torch.Tensor, size: tuple[int, int], reading: Reading) -> torch.Tensor:
    found = resize(image, size, reading)
    without = np.asarray(resized(functional.to_pil_image(image), size, reading))
    without = without[None] if without.ndim == 2 else without.transpose(2, 0, 1)
    assert found.shape == (len(image), *size) == without.shape
    assert np.abs(found.numpy().astype(int) - without.astype(int)).max() <= 2
    return found


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(sides, sides, sides, sides, st.sampled_from([1, 3]), st.sampled_from(sorted(READINGS)))
def test_every_size_comes_out_alike(height: int, width: int, high: int, wide: int, channels: int, way: Resize) -> None:
    by_both(photograph(height, width, channels), (high, wide), READINGS[way])


def test_padding_shows_all_and_keeps_proportions() -> None:
    found = by_both(torch.full((3, 16, 64), 100, dtype=torch.uint8), (32, 32), READINGS["pad"])
    shown = (found == 100).all(0)
    assert shown.nonzero().aminmax(dim=0).min.tolist() == [12, 0]
    assert shown.nonzero().aminmax(dim=0).max.tolist() == [19, 31]
    assert found[:, 0, 0].tolist() == list(BACK)


def test_padding_of_grey_images_is_the_grey_of_the_background() -> None:
    found = by_both(torch.full((1, 16, 64), 100, dtype=torch.uint8), (32, 32), READINGS["pad"])
    assert int(found[0, 0, 0]) == Image.new("RGB", (1, 1), BACK).convert("L").getpixel((0, 0))


def test_squeezing_shows_both_ends() -> None:
    image = torch.zeros(3, 16, 64, dtype=torch.uint8)
    image[..., :8], image[..., -8:] = 255, 200
    found = by_both(image, (32, 32), READINGS["squeeze"])
    assert found[0, :, 0].min() > 250
    assert found[0, :, -1].min() > 195
    assert by_both(image, (32, 32), READINGS["crop"]).max() == 0  # which is what the other two are for


@pytest.mark.parametrize("size", [(32, 32), (40, 24)])
def test_an_image_of_that_size_stays_as_it_is(size: tuple[int, int]) -> None:
    image = photograph(*size)
    for reading in READINGS.values():
        assert torch.equal(by_both(image, size, reading), image)


@pytest.mark.parametrize("shape", [(1, 60_000), (60_000, 1), (3, 40_000)])
@pytest.mark.parametrize("way", READINGS)
def test_a_strip_takes_no_memory_out_of_proportion(shape: tuple[int, int], way: Resize) -> None:
    image = photograph(*shape)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as seen:
        by_both(image, (224, 224), READINGS[way])
        random_crop((224, 224), 0.08, READINGS[way])(image)
    assert sum(max(0, event.self_cpu_memory_usage) for event in seen.events() or ()) < 300e6


def test_the_centre_of_a_strip_is_what_all_of_it_would_have_given() -> None:
    image = photograph(2, 3000)
    whole = functional.center_crop(functional.resize(image, [256, 384_000], antialias=True), [224, 224])
    assert (by_both(image, (224, 224), READINGS["crop"]).int() - whole.int()).abs().max() <= 1


def test_random_parts_of_a_padded_image_have_as_much_of_it_as_they_can() -> None:
    torch.manual_seed(0)
    image = torch.full((3, 20, 100), 100, dtype=torch.uint8)
    crop = random_crop((32, 32), 0.08, READINGS["pad"])
    shares = []
    for _ in range(50):
        found = crop(image)
        shown, bars = (found == 100).all(0), (found == torch.tensor(BACK)[:, None, None]).all(0)
        assert (shown | bars).all()
        shares.append(float(shown.float().mean()))
    assert min(shares) > 0.15  # of the whole square it is a fifth
    assert max(shares) > 0.5


def test_random_parts_of_a_squeezed_image_reach_both_ends() -> None:
    torch.manual_seed(0)
    image = torch.zeros(3, 20, 100, dtype=torch.uint8)
    image[0] = torch.linspace(0, 255, 100)
    found = [random_crop((32, 32), 0.5, READINGS["squeeze"])(image)[0] for _ in range(50)]
    assert min(int(part.min()) for part in found) < 10
    assert max(int(part.max()) for part in found) > 245
    assert all(part.shape == (32, 32) for part in found)


def test_cutting_draws_and_cuts_as_torchvision_does() -> None:
    from torchvision.transforms import v2

    image = photograph(50, 80)
    torch.manual_seed(3)
    expected = v2.RandomResizedCrop((24, 24), scale=(0.2, 1.0), antialias=True)(image)
    torch.manual_seed(3)
    assert torch.equal(random_crop((24, 24), 0.2, READINGS["crop"])(image), expected)
