"""From the bytes of a picture to upright pixels of 8 bits: the one place that knows what each kind of file means.

Devices decode everything here. With torch, pictures that need none of these rules are decoded by torchvision, which
gives the same pixels in less time; all others come here too.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import numpy as np
from PIL import Image

from ddnn_runtime.errors import TooLargeImageError, UnreadableImageError
from ddnn_runtime.geometry import too_large
from ddnn_runtime.reading import AS_SHOWN, Levels, Reading

_ORIENTATION = 0x0112  # of EXIF: which way up, 1 to 8
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0  # of TIFF
_SIXTEEN_BITS: Levels = (0, 65535)
_TWELVE_BITS: Levels = (0, 4095)
_LIMIT = threading.Lock()  # of Pillow, which all threads share


def decode(encoded: bytes, channels: int, name: str, reading: Reading = AS_SHOWN) -> Any:
    """Decode a picture of any format that Pillow reads; of an animation, the first frame.

    Args:
        encoded: the file's content.
        channels: 1 (grey) or 3 (RGB); pictures of another kind are converted.
        name: what an error calls the picture.
        reading: the rules.

    Returns:
        A `PIL.Image.Image` of mode L or RGB.

    Raises:
        UnreadableImageError: the content is empty, damaged, no picture, too large, or has numbers that nobody knows the
            black and white of.
    """
    with opened(encoded, reading, name) as image:
        if channels == 1 and image.format in ("JPEG", "MPO"):
            image.draft("L", image.size)  # the grey values that the file has, as torchvision reads them
        image.load()
        turn = _TURNS.get(orientation(image, reading))
        shallow = _shallow(image, reading)
        pixels = _shown(shallow, reading.background).convert("L" if channels == 1 else "RGB")
        return pixels if turn is None else pixels.transpose(turn)


@contextmanager
def opened(encoded: bytes, reading: Reading, name: str) -> Iterator[Any]:
    """A picture whose header has been read; whatever is wrong with it in here becomes an UnreadableImageError."""
    if not encoded:
        _refuse(name, "it is empty")
    try:
        with _open(encoded, reading.max_pixels) as image:
            if image.width * image.height > reading.max_pixels:
                raise Image.DecompressionBombError
            yield image
    except UnreadableImageError as error:
        _refuse(name, str(error))
    except Image.DecompressionBombError:
        raise TooLargeImageError(f"Cannot decode {name}: {too_large(reading.max_pixels)}") from None
    except MemoryError:
        _refuse(name, "it takes more memory than there is")
    except Exception as error:  # Pillow's decoders raise whatever their format makes them stumble over
        reason = " ".join(str(error).split())
        _refuse(name, "not an image in a known format" if "BytesIO" in reason else reason)


def upright_size(encoded: bytes, reading: Reading, name: str) -> tuple[int, int]:
    """(height, width) that a picture has when it is decoded, from its header; errors as of `decode`."""
    with opened(encoded, reading, name) as image:
        turned = orientation(image, reading) in (5, 6, 7, 8) and image.format != "TIFF"  # whose size is turned already
        return (image.width, image.height) if turned else (image.height, image.width)


def orientation(image: Any, reading: Reading) -> int:
    """Which way up a picture is stored, 1 to 8 as in EXIF; 1 where it is upright, or not to be turned.

    Pillow turns TIFFs itself when it decodes them, and then says 1.
    """
    if reading.orientation == "stored":
        return 1
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # EXIF that is damaged; the picture need not be
        return 1


def jpeg_may_be_turned(encoded: bytes) -> bool:
    """Whether a JPEG has EXIF or XMP, in microseconds; where it says how it is turned, it is there."""
    place = 2
    while encoded[place : place + 1] == b"\xff" and place + 4 <= len(encoded):
        kind, length = encoded[place + 1], int.from_bytes(encoded[place + 2 : place + 4], "big")
        if kind == 0xDA:  # the pixels begin
            return False
        if kind == 0xE1:
            return True
        place += 1 if kind == 0xFF else 2 + length
    return True  # not as usual: better looked at


def _open(encoded: bytes, max_pixels: int) -> Any:
    """Open it with Pillow, which refuses twice its own limit of pixels, unless ours is larger still."""
    limit = Image.MAX_IMAGE_PIXELS
    if limit is None or max_pixels <= 2 * limit:
        return Image.open(io.BytesIO(encoded))
    with _LIMIT:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, max_pixels
        try:
            return Image.open(io.BytesIO(encoded))
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _shallow(image: Any, reading: Reading) -> Any:
    """A picture of at most 8 bits a channel."""
    if image.mode not in ("F", "I") and not image.mode.startswith("I;16"):
        return image
    sixteen = image.mode.startswith("I;16") or image.format in ("PNG", "PPM")  # which have no more
    if reading.levels == "clip":
        cut = image.mode.startswith("I;16")  # of which Pillow would cut off what is above 255
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if cut else image
    values = np.asarray(image)
    pixels = _scaled(values, _levels(image, reading.levels, sixteen))
    if _tag(image, _PHOTOMETRIC) == _WHITE_IS_ZERO and image.format == "TIFF":
        pixels = 255 - pixels
    shallow = Image.fromarray(pixels)
    hidden = image.info.get("transparency")
    if isinstance(hidden, int):
        shallow.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return shallow


def _levels(image: Any, given: Levels | None, sixteen: bool) -> Levels:
    if given is not None:
        return given
    if image.mode == "F":
        return 0.0, 1.0
    if sixteen:
        return _TWELVE_BITS if _tag(image, _BITS) == (12,) else _SIXTEEN_BITS
    raise UnreadableImageError(
        "it has 32-bit integers, and which of them are black and white is not known; save it with 8 or 16 bits, or "
        "train with --levels '[BLACK, WHITE]'"
    )


def _tag(image: Any, number: int) -> Any:
    return image.tag_v2.get(number) if image.format == "TIFF" else None


def _scaled(values: np.ndarray, levels: Levels) -> np.ndarray:
    """Numbers from black to white as 0 to 255, rounded; of 16 bits, the upper 8."""
    black, white = levels
    low, high = values.min(), values.max()
    if not (low >= black and high <= white):  # numbers that are none, too
        raise UnreadableImageError(
            f"it has values from {low:.6g} to {high:.6g}, where {black:g} is black and {white:g} white; save it with 8 "
            "bits, or train with --levels '[BLACK, WHITE]'"
        )
    if levels == _SIXTEEN_BITS:
        return (values.astype(np.uint16) >> 8).astype(np.uint8)
    shifted = np.subtract(values, black, dtype=np.float32)
    shifted *= 255 / (white - black)
    shifted += 0.5
    return shifted.astype(np.uint8)


def _shown(image: Any, background: tuple[int, int, int] | None) -> Any:
    """What is seen of a picture that lies on a background."""
    if background is None or not (image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info):
        return image
    over = (image.convert("LA") if image.mode == "La" else image).convert("RGBA")
    shown = Image.new("RGB", image.size, background)
    shown.paste(over, mask=over)
    return shown


def _refuse(name: str, reason: str) -> NoReturn:
    raise UnreadableImageError(f"Cannot decode {name}: {reason}") from None
