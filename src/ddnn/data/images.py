"""From encoded bytes to the tensor that a network sees, the same way for training data, test data and one image.

Every pipeline decodes, resizes and normalises through the functions here, so that `ddnn predict` cannot differ from
what the network was tested on.
"""

import io
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional

from ddnn.errors import UnreadableImageError
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.geometry import LARGEST_IMAGE, TOO_LARGE, covering, is_small

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_JPEG, _PNG = b"\xff\xd8", b"\x89PNG"


def decode(encoded: bytes, channels: int, name: str) -> Tensor:
    """Decode a JPEG, PNG, WebP, GIF, or anything else that Pillow reads.

    Args:
        encoded: the file's content.
        channels: 1 (grey) or 3 (RGB); images of another kind are converted, transparency is dropped.
        name: what an error calls the image.

    Returns:
        uint8 of shape (channels, height, width).

    Raises:
        UnreadableImageError: the content is empty, damaged or no image.
    """
    if not encoded:
        raise UnreadableImageError(f"Cannot decode {name}: it is empty")
    _check_pixels(encoded, name)
    if encoded.startswith(_PNG):  # torchvision's decoder (seen in 0.29) ends the process on some damaged ones
        return _decode_with_pillow(encoded, channels, name)
    mode = ImageReadMode.GRAY if channels == 1 else ImageReadMode.RGB
    try:
        # bytearray: torch warns about tensors over memory that cannot be written.
        image = decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode)
    except RuntimeError:
        return _decode_with_pillow(encoded, channels, name)
    if image.ndim == 4:  # an animation: its first frame
        image = image[0]
    return image if image.dtype == torch.uint8 else (image.to(torch.int32) >> 8).to(torch.uint8)


def _check_pixels(encoded: bytes, name: str) -> None:
    """Refuse what says that it has more pixels than an image may have, before it is decoded.

    A JPEG needs at least a bit for each block of 8x8 pixels, so a small one need not be asked.
    """
    if encoded.startswith(_JPEG) and 8 * 64 * len(encoded) <= LARGEST_IMAGE:
        return
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            pixels = image.width * image.height
    except Image.DecompressionBombError:
        pixels = LARGEST_IMAGE + 1
    except Exception:  # no image, or one that only torchvision knows
        return
    if pixels > LARGEST_IMAGE:
        raise UnreadableImageError(f"Cannot decode {name}: {TOO_LARGE}")


def _decode_with_pillow(encoded: bytes, channels: int, name: str) -> Tensor:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.mode.startswith("I;16"):  # of which Pillow would cut off what is above 255
                high_bytes = torch.from_numpy(np.asarray(image).astype(np.int32) >> 8).to(torch.uint8)
                return high_bytes.expand(channels, -1, -1).clone()
            return functional.pil_to_tensor(image.convert("L" if channels == 1 else "RGB"))
    except Exception as error:  # Pillow's decoders raise whatever their format makes them stumble over
        reason = "not an image in a known format" if "BytesIO" in str(error) else " ".join(str(error).split())
        raise UnreadableImageError(f"Cannot decode {name}: {reason}") from None


def decode_file(path: str | Path, channels: int) -> Tensor:
    """Decode an image file: see `decode`. A file that cannot be opened is an UnreadableImageError, too."""
    return decode(read_bytes(path), channels, str(path))


def read_bytes(path: str | Path) -> bytes:
    """An image file's content; UnreadableImageError if it cannot be opened."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UnreadableImageError(f"Cannot read {path}: {error.strerror or error}") from None


def read_size(encoded: bytes, name: str) -> tuple[int, int]:
    """(height, width) of an image, from its header where Pillow knows the format; errors as of `decode`."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return image.height, image.width
    except Exception:  # as in _decode_with_pillow
        height, width = decode(encoded, 3, name).shape[1:]
        return height, width


def sizes(files: Iterable[tuple[str, Callable[[], bytes]]], tolerant: bool) -> Iterator[tuple[int, int]]:
    """(height, width) of images.

    Args:
        files: what errors call each image, and what reads it.
        tolerant: pass over those that cannot be read.
    """
    for name, read in files:
        try:
            yield read_size(read(), name)
        except UnreadableImageError:
            if not tolerant:
                raise


def common_side(sizes: Iterable[tuple[int, int]]) -> int | None:
    """Side of the square that small images of these (height, width) have by themselves; None if they differ or are
    large.

    >>> common_side([(32, 32), (32, 32)]), common_side([(32, 32), (32, 40)]), common_side([(96, 96)])
    (32, None, None)
    """
    distinct = set(sizes)
    if len(distinct) != 1:
        return None
    (size,) = distinct
    return min(size) if is_small(size) else None


def spread(count: int, wanted: int) -> list[int]:
    """At most `wanted` of the positions 0…count-1, from the first to the last.

    >>> spread(3, 20), spread(100, 4)
    ([0, 1, 2], [0, 33, 66, 99])
    """
    wanted = min(count, wanted)
    return [position * (count - 1) // max(1, wanted - 1) for position in range(wanted)]


def resize(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize so that the image just covers what is wanted, then cut out the centre.

    Args:
        image: uint8 of shape (..., height, width).
        size: the wanted (height, width) in pixels.

    Returns:
        uint8 of shape (..., *size).
    """
    old = (image.shape[-2], image.shape[-1])
    covered = covering(old, size)
    if covered != old:
        image = functional.resize(image, list(covered), antialias=True)
    return image if covered == size else functional.center_crop(image, list(size))


def with_channels(images: Tensor, channels: int) -> Tensor:
    """Convert (..., 1 or 3, height, width) between grey and RGB where needed."""
    if images.shape[-3] == channels:
        return images
    return functional.rgb_to_grayscale(images) if channels == 1 else functional.grayscale_to_rgb(images)


def normalise(images: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Scale uint8 pixels to [0, 1], subtract the mean and divide by the standard deviation.

    Args:
        images: uint8 of shape (..., channels, height, width).
        mean: per channel, of pixels in [0, 1].
        std: likewise.

    Returns:
        float32 of the same shape and on the same device.
    """
    result = images.float()
    for channel, (m, s) in enumerate(zip(mean, std, strict=True)):
        # Plain numbers, not tensors: a copy from the host to a GPU may stall it.
        result.select(-3, channel).mul_(1 / (255 * s)).sub_(m / s)
    return result


def statistics(images: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel of uint8 images (count, channels, height, width) scaled to [0, 1].

    Summed in integers, so that the result is the same on every machine.
    """
    channels = images.shape[1]
    total, squares = torch.zeros(channels, dtype=torch.int64), torch.zeros(channels, dtype=torch.int64)
    for chunk in images.split(1024):
        values = chunk.to(torch.int32)
        total += values.sum((0, 2, 3))
        squares += (values * values).sum((0, 2, 3))
    pixels = images.numel() // channels
    mean = total.double() / pixels
    variance = (squares.double() / pixels - mean * mean).clamp(min=1.0)  # a channel of one colour must not divide by 0
    return tuple((mean / 255).tolist()), tuple((variance.sqrt() / 255).tolist())


def read_image(path: str | Path, spec: DataSpec) -> Tensor:
    """Read one image and prepare it like a test image of the data that a network was trained on.

    Args:
        path: an image file.
        spec: what the network knows of its data.

    Returns:
        float32 of shape (channels, height, width), normalised.

    Raises:
        UnreadableImageError: the file is missing or cannot be decoded; the message names it.
    """
    return normalise(resize(decode_file(path, spec.channels), spec.size), spec.mean, spec.std)
