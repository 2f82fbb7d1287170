"""Rules of reading from the command line to the pixels that a network sees, and the word about wide images."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddnn.config import DataConfig
from ddnn.data import open_data, read_image
from ddnn.errors import DataError, DDNNError, UnreadableImageError
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.pixels import read_image as read_without_torch
from ddnn_runtime.reading import BEFORE, Reading


def write(root: Path, size: tuple[int, int], exif: Image.Exif | None = None, count: int = 10) -> str:
    for split in ("train", "val"):
        for label, name in enumerate("ab"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = np.random.default_rng(number).integers(0, 200, (size[1], size[0], 3), dtype=np.uint8)
                pixels[:, : size[0] // 8] = 255 * label  # seen at the end of the picture alone
                Image.fromarray(pixels).save(root / split / name / f"{number}.png", exif=exif or Image.Exif())
    return f"folder:{root}"


@pytest.mark.parametrize("side", [16, 80], ids=["in memory", "by workers"])
@pytest.mark.parametrize("how", ["crop", "pad", "squeeze"])
def test_training_evaluation_and_single_images_are_resized_alike(tmp_path: Path, side: int, how: str) -> None:
    config = DataConfig(
        write(tmp_path, (160, 40)), image_size=side, resize=how, background=[9, 9, 9], workers=0, batch_size=20
    )  # type: ignore[arg-type]
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        data = open_data(config, seed=0)
    assert any("--resize pad" in str(word.message) for word in said) == (how == "crop")
    spec = data.spec
    assert spec.reading == Reading(resize=how, background=(9, 9, 9))  # type: ignore[arg-type]
    images, _ = next(iter(data.test("cpu")))
    assert images.shape[-2:] == (side, side)
    for number, place in enumerate(("val/a/0.png", "val/b/0.png")):
        one = read_image(tmp_path / place, spec)
        assert torch.equal(images[10 * number], one)
        np.testing.assert_allclose(
            read_without_torch(tmp_path / place, spec), one.numpy(), atol=3 / 255 / min(spec.std)
        )
    batch, _ = next(iter(data.training("cpu")))
    assert batch.shape[-2:] == (side, side)
    again = open_data(DataConfig(config.data, workers=0), seed=0, spec=spec)  # as evaluation and calibration open it
    assert torch.equal(next(iter(again.test("cpu")))[0][0], images[0])


@pytest.mark.parametrize("side", [16, 80], ids=["in memory", "by workers"])
def test_turned_images_are_upright_everywhere_unless_told_otherwise(tmp_path: Path, side: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = write(tmp_path, (side, side), exif)
    turned, stored = (
        next(iter(open_data(config, seed=0).test("cpu")))[0][0]
        for config in (
            DataConfig(data, image_size=side, workers=0, resize="squeeze"),
            DataConfig(data, image_size=side, workers=0, resize="squeeze", orientation="stored"),
        )
    )
    if side == 80:  # those in memory have statistics of their own
        torch.testing.assert_close(turned, stored.rot90(3, (-2, -1)))
    assert not torch.equal(turned, stored)


def test_a_network_of_before_reads_as_before(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    spec = DataSpec(3, (80, 80), (0.0,) * 3, (1.0,) * 3, ("a", "b"), BEFORE)
    data = open_data(DataConfig(write(tmp_path, (80, 80), exif), workers=0), 0, spec)
    stored = torch.from_numpy(np.array(Image.open(tmp_path / "val/a/0.png"))).permute(2, 0, 1)
    assert data.spec == spec
    margin = read_image(tmp_path / "val/a/0.png", spec)
    assert torch.equal(next(iter(data.test("cpu")))[0][0], margin)
    Image.fromarray(stored.permute(1, 2, 0).numpy()).save(tmp_path / "plain.png")
    assert torch.equal(read_image(tmp_path / "plain.png", spec), margin)


def test_the_limit_of_pixels_is_given_or_the_networks(tmp_path: Path) -> None:
    data = write(tmp_path, (20, 20))
    with pytest.raises(UnreadableImageError, match="more than the 399 pixels"):
        next(iter(open_data(DataConfig(data, image_size=16, max_pixels=399), 0).test("cpu")))
    spec = open_data(DataConfig(data, image_size=16, max_pixels=400), 0).spec
    assert spec.reading.max_pixels == 400
    assert open_data(DataConfig(data), 0, spec).spec.reading.max_pixels == 400
    with pytest.raises(DataError, match="more than the 100 pixels"):
        next(iter(open_data(DataConfig(data, max_pixels=100), 0, spec).test("cpu")))


@pytest.mark.parametrize("size", [(30, 30), (40, 30), (53, 30)])
def test_nothing_is_said_of_photographs(tmp_path: Path, size: tuple[int, int]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_data(DataConfig(write(tmp_path, size)), 0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"resize": "stretch"}, "resize must be crop, pad or squeeze"),
        ({"background": [1, 2]}, "background must be red, green and blue"),
        ({"background": None, "resize": "pad"}, "pad needs a background"),
        ({"levels": [1, 1]}, "levels must be black and the larger white"),
        ({"max_pixels": 0}, "max_pixels must be 1 to"),
    ],
)
def test_keys_that_make_no_sense_are_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        DataConfig(**keys)  # type: ignore[arg-type]
