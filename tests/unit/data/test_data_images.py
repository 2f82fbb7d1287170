import io

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from ddnn.data import read_image
from ddnn.data.images import decode, normalise, resize, statistics
from ddnn.errors import UnreadableImageError
from ddnn_runtime.data_spec import DataSpec

SPEC = DataSpec(3, (16, 16), (0.4, 0.5, 0.6), (0.2, 0.25, 0.3), ("cat", "dog"))
PIXELS = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)


def encoded(kind: str, image: Image.Image | None = None) -> bytes:
    stream = io.BytesIO()
    (image or Image.fromarray(PIXELS)).save(stream, kind)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_lossless_formats_give_the_pixels(kind):
    assert torch.equal(decode(encoded(kind), 3, "x"), torch.from_numpy(PIXELS).permute(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_any_mode_get_the_channels_asked_for(mode, channels):
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = decode(encoded(kind, Image.fromarray(PIXELS).convert(mode)), channels, "x")
    assert image.shape == (channels, 20, 24)
    assert image.dtype == torch.uint8


def test_cmyk_jpeg_and_animated_gif():
    assert decode(encoded("JPEG", Image.fromarray(PIXELS).convert("CMYK")), 3, "x").shape == (3, 20, 24)
    stream = io.BytesIO()
    frames = [Image.fromarray(PIXELS), Image.fromarray(255 - PIXELS)]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    assert decode(stream.getvalue(), 3, "x").shape == (3, 20, 24)


def test_sixteen_bits_are_scaled_to_eight():
    deep = (PIXELS[..., 0].astype(np.uint16) << 8) + 77
    image = decode(encoded("PNG", Image.fromarray(deep)), 3, "x")
    assert torch.equal(image[0], torch.from_numpy(PIXELS[..., 0]))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"not an image at all", "not an image in a known format"),
        (encoded("JPEG")[:-300], "truncated"),
        (encoded("PNG")[:-300], "truncated"),
    ],
)
def test_damaged_images_are_named(content, reason):
    with pytest.raises(UnreadableImageError, match=f"^Cannot decode cat.jpg: .*{reason}.*$"):
        decode(content, 3, "cat.jpg")


@pytest.mark.parametrize("size", [(100, 100), (90, 140), (141, 93), (300, 224)])
@pytest.mark.parametrize("side", [32, 96])
def test_resize_equals_torchvision(size, side):
    image = torch.randint(0, 256, (3, *size), dtype=torch.uint8)
    margin = side if side <= 64 else side * 256 // 224
    reference = v2.Compose([v2.Resize(margin, antialias=True), v2.CenterCrop(side)])
    assert torch.equal(resize(image, (side, side)), reference(image))


def test_resize_to_oblong_and_from_extreme_shapes():
    assert resize(torch.zeros(3, 10, 500, dtype=torch.uint8), (16, 12)).shape == (3, 16, 12)
    assert resize(torch.zeros(1, 1, 1, dtype=torch.uint8), (70, 70)).shape == (1, 70, 70)


def test_statistics_and_normalise():
    images = torch.randint(0, 256, (3000, 2, 4, 4), dtype=torch.uint8)
    mean, std = statistics(images)
    result = normalise(images, mean, std)
    assert result.dtype == torch.float32
    assert torch.allclose(result.mean((0, 2, 3)), torch.zeros(2), atol=1e-4)
    assert torch.allclose(result.std((0, 2, 3)), torch.ones(2), atol=1e-3)
    assert torch.allclose(normalise(images[0], mean, std), result[0])


def test_statistics_of_one_colour_do_not_divide_by_zero():
    images = torch.full((2, 1, 3, 3), 9, dtype=torch.uint8)
    assert torch.allclose(normalise(images, *statistics(images)), torch.zeros(2, 1, 3, 3), atol=1e-4)


def test_read_image(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(encoded("PNG"))
    image = read_image(path, SPEC)
    assert image.shape == (3, 16, 16)
    expected = resize(torch.from_numpy(PIXELS).permute(2, 0, 1), (16, 16)).float() / 255
    mean, std = torch.tensor(SPEC.mean).view(3, 1, 1), torch.tensor(SPEC.std).view(3, 1, 1)
    assert torch.allclose(image, (expected - mean) / std, atol=1e-5)


def test_read_image_names_what_it_cannot_read(tmp_path):
    with pytest.raises(UnreadableImageError, match=r"Cannot read .*missing\.png: No such file"):
        read_image(tmp_path / "missing.png", SPEC)
    with pytest.raises(UnreadableImageError, match="Is a directory"):
        read_image(tmp_path, SPEC)
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(UnreadableImageError, match=r"Cannot decode .*text\.png: not an image in a known format"):
        read_image(str(tmp_path / "text.png"), SPEC)
