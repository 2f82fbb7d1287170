"""Images from files to the numbers that a net sees, with Pillow and numpy alone, for devices without torch.

The same as `ddnn.data.read_image`, which the nets were tested with; a test holds the two together. Pillow and torch
round differently where an image is resized, by at most a grey level or two.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.errors import UnreadableImageError
from ddnn_runtime.geometry import LARGEST_IMAGE, TOO_LARGE, centre, covering


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
    return normalise(_pixels(Path(path), spec), spec)


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


def _pixels(path: Path, spec: DataSpec) -> np.ndarray:
    """uint8 of shape (channels, height, width)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"Cannot read {path}: {error.strerror or error}") from None
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.width * image.height > LARGEST_IMAGE:
                raise Image.DecompressionBombError
            pixels = np.asarray(_resized(_converted(image, spec.channels), spec.size))
    except Image.DecompressionBombError:
        raise UnreadableImageError(f"Cannot decode {path}: {TOO_LARGE}") from None
    except Exception as error:  # Pillow's decoders raise whatever their format makes them stumble over
        reason = "it is empty" if not content else "not an image in a known format"
        known = content and "BytesIO" not in str(error)
        raise UnreadableImageError(
            f"Cannot decode {path}: {' '.join(str(error).split()) if known else reason}"
        ) from None
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def _converted(image: Any, channels: int) -> Any:
    """An image of as many channels, 8 bits each."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if channels == 1 and image.format == "JPEG":
        image.draft("L", image.size)  # the grey values that the file has, as torchvision reads them
    return image.convert("L" if channels == 1 else "RGB")


def _resized(image: Any, size: tuple[int, int]) -> Any:
    height, width = covering((image.height, image.width), size)
    if (height, width) != (image.height, image.width):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    top, left = centre((height, width), size)
    return image.crop((left, top, left + size[1], top + size[0]))
