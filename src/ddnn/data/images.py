"""From encoded bytes to the tensor that a network sees, the same way for training data, test data and one image.

Every pipeline decodes, resizes and normalises through the functions here, so that `ddnn predict` cannot differ from
what the network was tested on.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms.v2 import functional

from ddnn.errors import UnreadableImageError
from ddnn_runtime import decoding
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.errors import TooLargeImageError
from ddnn_runtime.geometry import MOST_PIXELS, Size, covering, inside, is_small, is_strip, passes
from ddnn_runtime.pixels import centre_of, read_bytes
from ddnn_runtime.reading import AS_SHOWN, Reading

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
_JPEG, _GIF = b"\xff\xd8", (b"GIF87a", b"GIF89a")
_UPRIGHT: dict[int, tuple[int, tuple[int, ...]]] = {  # of EXIF: quarter turns to the left, then what is mirrored
    1: (0, ()), 2: (0, (-1,)), 3: (2, ()), 4: (0, (-2,)), 5: (1, (-2,)), 6: (3, ()), 7: (1, (-1,)), 8: (1, ()),
}  # fmt: skip


def decode(encoded: bytes, channels: int, name: str, reading: Reading = AS_SHOWN) -> Tensor:
    """Decode a JPEG, PNG, WebP, GIF, or anything else that Pillow reads.

    The pixels are those of `ddnn_runtime.decoding.decode`; torchvision decodes what it does faster, and as well.

    Args:
        encoded: the file's content.
        channels: 1 (grey) or 3 (RGB); images of another kind are converted.
        name: what an error calls the image.
        reading: which way up, and what becomes of transparency and of more than 8 bits.

    Returns:
        uint8 of shape (channels, height, width).

    Raises:
        UnreadableImageError: the content is empty, damaged or no image, or not to be read by these rules.
    """
    if encoded.startswith(_JPEG):
        # A JPEG needs at least a bit for each block of 8x8 pixels, so a small one need not be asked how large it is.
        small = 8 * 64 * len(encoded) <= reading.max_pixels
        turned = reading.orientation == "exif" and decoding.jpeg_may_be_turned(encoded)
        way = 1 if small and not turned else _way_up(encoded, reading, name)
        image = _decode_with_torch(encoded, ImageReadMode.GRAY if channels == 1 else ImageReadMode.RGB)
        if image is not None:
            return _upright(image, way)
    elif channels == 3 and _torch_does_as_well(encoded, reading, name):
        image = _decode_with_torch(encoded, ImageReadMode.RGB)
        if image is not None:
            return image
    return functional.pil_to_tensor(decoding.decode(encoded, channels, name, reading))


def _way_up(encoded: bytes, reading: Reading, name: str) -> int:
    """The orientation of a JPEG, by its header; one that cannot be read is left to the decoders."""
    try:
        with decoding.opened(encoded, reading, name) as image:
            return decoding.orientation(image, reading)
    except TooLargeImageError:
        raise
    except UnreadableImageError:
        return 1


def _torch_does_as_well(encoded: bytes, reading: Reading, name: str) -> bool:
    """Whether torchvision gives the pixels that Pillow would, and is faster; or a GIF is to be read as it always was.

    Not of PNGs: torchvision's decoder (seen in 0.29) ends the process on some damaged ones. Nor of animations, all of
    whose frames it decodes, if they are many.
    """
    webp, gif = encoded[8:12] == b"WEBP", encoded.startswith(_GIF) and reading.background is None
    if not webp and not gif:
        return False
    with decoding.opened(encoded, reading, name) as image:
        still = getattr(image, "n_frames", 1) * image.width * image.height <= reading.max_pixels
        return still and (gif or image.mode == "RGB") and decoding.orientation(image, reading) == 1


def _decode_with_torch(encoded: bytes, mode: ImageReadMode) -> Tensor | None:
    """uint8 of shape (channels, height, width); None if torchvision does not take it, and Pillow may."""
    try:
        # bytearray: torch warns about tensors over memory that cannot be written.
        image = decode_image(torch.frombuffer(bytearray(encoded), dtype=torch.uint8), mode)
    except RuntimeError:
        return None
    return image[0] if image.ndim == 4 else image  # of an animation, its first frame


def _upright(image: Tensor, way: int) -> Tensor:
    turns, mirrored = _UPRIGHT.get(way, (0, ()))
    if turns:
        image = image.rot90(turns, (-2, -1))
    return image.flip(mirrored) if mirrored else image


def decode_file(path: str | Path, channels: int, reading: Reading = AS_SHOWN) -> Tensor:
    """Decode an image file: see `decode`. A file that cannot be opened is an UnreadableImageError, too."""
    return decode(read_bytes(path), channels, str(path), reading)


def read_size(encoded: bytes, name: str) -> Size:
    """(height, width) of an image when it is upright, from its header; errors as of `decode`."""
    return decoding.upright_size(encoded, Reading(max_pixels=MOST_PIXELS), name)


def sizes(files: Iterable[tuple[str, Callable[[], bytes]]], tolerant: bool) -> Iterator[Size]:
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


def resize(image: Tensor, size: Size, reading: Reading = AS_SHOWN) -> Tensor:
    """Bring a decoded image to a size.

    Args:
        image: uint8 of shape (channels, height, width).
        size: the wanted (height, width) in pixels.
        reading: whether to cover that and cut out the centre, to pad, or to squeeze.

    Returns:
        uint8 of shape (channels, *size).
    """
    old = (image.shape[-2], image.shape[-1])
    if reading.resize == "squeeze":
        return scaled(image, size)
    if reading.resize == "pad":
        shown = scaled(image, inside(old, size))
        return padded(
            shown, size, [(most - side) // 2 for most, side in zip(size, shown.shape[-2:], strict=True)], reading
        )
    if is_strip(old, size):
        return functional.pil_to_tensor(centre_of(functional.to_pil_image(image), size))
    covered = covering(old, size)
    if covered != old:
        image = functional.resize(image, list(covered), antialias=True)
    return image if covered == size else functional.center_crop(image, list(size))


def scaled(image: Tensor, size: Size) -> Tensor:
    """Resize to a size of perhaps other proportions: uint8 of shape (channels, *size)."""
    for step in passes((image.shape[-2], image.shape[-1]), size):
        if step != tuple(image.shape[-2:]):
            image = functional.resize(image, list(step), antialias=True)
    return image


def padded(image: Tensor, size: Size, place: Sequence[int], reading: Reading) -> Tensor:
    """Put an image on the background: uint8 of shape (channels, *size), with its top left corner at (top, left)."""
    colour = torch.tensor(reading.colour(len(image)), dtype=torch.uint8)
    whole = colour[:, None, None].expand(-1, *size).clone()
    (top, left), (height, width) = place, image.shape[-2:]
    whole[:, top : top + height, left : left + width] = image
    return whole


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
    try:
        image = resize(decode_file(path, spec.channels, spec.reading), spec.size, spec.reading)
    except (MemoryError, RuntimeError) as error:  # torch's own is no MemoryError
        if not isinstance(error, MemoryError) and "memory" not in str(error):
            raise
        raise UnreadableImageError(f"Cannot decode {path}: it takes more memory than there is") from None
    return normalise(image, spec.mean, spec.std)
