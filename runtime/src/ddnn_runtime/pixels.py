"""Images from files to the numbers that a net sees, with Pillow and numpy alone, for devices without torch.

The same as `ddnn.data.read_image`, which the nets were tested with; a test holds the two together. Pillow and torch
round differently where an image is resized, by at most a grey level or two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.decoding import decode
from ddnn_runtime.errors import UnreadableImageError
from ddnn_runtime.geometry import Size, centre, centre_box, covering, inside, is_strip, passes
from ddnn_runtime.reading import Reading


def read_image(path: str | Path, spec: DataSpec) -> np.ndarray:
    """Read one image and prepare it like a test image of the data that a network was trained on.

    Args:
        path: an image file of any format that Pillow reads.
        spec: what the network knows of its data.

    Returns:
        float32 of shape (channels, height, width), normalised.

    Raises:
        UnreadableImageError: the file is missing or cannot be decoded; the message names it.
    """
    return prepare_image(read_bytes(path), str(path), spec)


def prepare_image(encoded: bytes, name: str, spec: DataSpec) -> np.ndarray:
    """As `read_image`, of a file's content; the name is what an error calls the picture."""
    return normalise(_pixels(encoded, name, spec), spec)


def normalise(images: np.ndarray, spec: DataSpec) -> np.ndarray:
    """Scale pixels to [0, 1], subtract the mean and divide by the standard deviation.

    Args:
        images: uint8 of shape (..., channels, height, width).
        spec: whose mean and standard deviation are taken.

    Returns:
        float32 of the same shape.
    """
    factor = np.array([1 / (255 * std) for std in spec.std], dtype=np.float32)[:, None, None]
    shift = np.array([mean / std for mean, std in zip(spec.mean, spec.std, strict=True)], dtype=np.float32)
    return images.astype(np.float32) * factor - shift[:, None, None]


def read_bytes(path: str | Path) -> bytes:
    """An image file's content; UnreadableImageError if it cannot be opened."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"Cannot read {path}: {error.strerror or error}") from None


def resized(image: Any, size: Size, reading: Reading) -> Any:
    """Bring a decoded picture to a size.

    Args:
        image: a `PIL.Image.Image` of mode L or RGB.
        size: the wanted (height, width) in pixels.
        reading: whether to cut out the centre, to pad or to squeeze.

    Returns:
        Another one, of that size.
    """
    old = (image.height, image.width)
    if reading.resize == "crop":
        return centre_of(image, size) if is_strip(old, size) else _cut(_scaled(image, covering(old, size)), size)
    if reading.resize == "squeeze":
        return _scaled(image, size)
    shown = _scaled(image, inside(old, size))
    (height, width), colour = size, reading.colour(len(image.getbands()))
    whole = Image.new(image.mode, (width, height), tuple(colour) if image.mode == "RGB" else colour[0])
    whole.paste(shown, ((width - shown.width) // 2, (height - shown.height) // 2))
    return whole


def centre_of(image: Any, size: Size) -> Any:
    """The centre of a very long picture, whose ends are not resized with it: as `resized`, to within rounding."""
    return image.resize(size[::-1], Image.Resampling.BILINEAR, box=centre_box((image.height, image.width), size))


def _pixels(encoded: bytes, name: str, spec: DataSpec) -> np.ndarray:
    """uint8 of shape (channels, height, width)."""
    try:
        image = decode(encoded, spec.channels, name, spec.reading)
        pixels = np.asarray(resized(image, spec.size, spec.reading))
    except MemoryError:
        raise UnreadableImageError(f"Cannot decode {name}: it takes more memory than there is") from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _scaled(image: Any, size: Size) -> Any:
    for height, width in passes((image.height, image.width), size):
        if (height, width) != (image.height, image.width):
            image = image.resize((width, height), Image.Resampling.BILINEAR)
    return image


def _cut(image: Any, size: Size) -> Any:
    top, left = centre((image.height, image.width), size)
    return image.crop((left, top, left + size[1], top + size[0]))
