"""Pillow and numpy against torch, which the nets were tested with."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddnn.data import read_image as read_with_torch
from ddnn.errors import UnreadableImageError
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.pixels import read_image
from tests.data_paths import find_data

RGB = DataSpec(3, (32, 32), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), ("a", "b"))
GREY = DataSpec(1, (8, 8), (0.3,), (0.4,), ("a", "b"))
LARGE = DataSpec(3, (96, 96), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), ("a", "b"))


def assert_alike(path: Path, spec: DataSpec, grey_levels: float) -> None:
    actual, expected = read_image(path, spec), read_with_torch(path, spec).numpy()
    assert actual.shape == expected.shape
    assert actual.dtype == np.float32
    assert np.abs(actual - expected).max() <= (grey_levels + 1e-3) / (255 * min(spec.std))


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "I;16", "LA"])
@pytest.mark.parametrize("spec", [RGB, GREY, LARGE], ids=["32", "grey", "large"])
def test_reads_as_torch_does(tmp_path: Path, mode: str, spec: DataSpec) -> None:
    ramp = np.linspace(0, 255, 48 * 40 * 3).reshape(48, 40, 3).astype(np.uint8)
    image = Image.fromarray(ramp)
    image = Image.fromarray(ramp[..., 0].astype(np.uint16) << 8) if mode == "I;16" else image.convert(mode)
    image.save(tmp_path / "image.png")
    assert_alike(tmp_path / "image.png", spec, grey_levels=2)


@pytest.mark.parametrize("spec", [RGB, GREY, LARGE], ids=["32", "grey", "large"])
def test_reads_real_photographs_as_torch_does(spec: DataSpec) -> None:
    photographs = sorted(find_data("imagenet1k_sample").glob("*/*.JPEG"))[::100]
    assert photographs
    for path in photographs:
        assert_alike(path, spec, grey_levels=2)


def test_small_images_are_the_same_to_the_bit(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    actual = torch.from_numpy(read_image(tmp_path / "image.png", RGB))
    torch.testing.assert_close(actual, read_with_torch(tmp_path / "image.png", RGB), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "it is empty"), (b"no image", "not an image in a known format"), (None, "No such file")],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "image.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableImageError, match=f"{path}: {message}"):
        read_image(path, RGB)


def test_a_truncated_image_is_named(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((64, 64, 3), dtype=np.uint8)).save(tmp_path / "image.jpg")
    content = (tmp_path / "image.jpg").read_bytes()
    (tmp_path / "image.jpg").write_bytes(content[: len(content) // 2])
    with pytest.raises(UnreadableImageError, match=r"image.jpg"):
        read_image(tmp_path / "image.jpg", RGB)
