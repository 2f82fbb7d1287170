"""Strange and damaged image files: read alike by both decoders, or refused by both with one message."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ddnn.data.images import decode_file
from ddnn.errors import UnreadableImageError
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.pixels import read_image
from tests.repeats import environment_number

SPEC = DataSpec(3, (24, 24), (0.0,) * 3, (1.0,) * 3, ("a", "b"))


def picture(mode: str = "RGB", size: tuple[int, int] = (40, 30)) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def sixteen_bits() -> bytes:
    return encoded(Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40) * 50), "PNG")


STRANGE = {
    "cmyk.jpg": encoded(picture("CMYK"), "JPEG"),
    "grey.jpg": encoded(picture("L"), "JPEG"),
    "sixteen.png": sixteen_bits(),
    "palette.png": encoded(picture("P"), "PNG", transparency=0),
    "alpha.png": encoded(picture("RGBA"), "PNG"),
    "one_bit.png": encoded(picture("1"), "PNG"),
    "animated.gif": encoded(picture("P"), "GIF", save_all=True, append_images=[picture("P").rotate(90)] * 2),
    "animated.webp": encoded(picture(), "WEBP", save_all=True, append_images=[picture().rotate(90)] * 2),
    "animated.png": encoded(picture(), "PNG", save_all=True, append_images=[picture().rotate(90)]),
    "wrong_name.png": encoded(picture(), "JPEG"),
    "tiff.tif": encoded(picture(), "TIFF"),
}


def read_by_both(path: Path) -> list[str | None]:
    """What each decoder says of a file; None where it reads it."""
    said: list[str | None] = []
    for read in (lambda: decode_file(path, 3, SPEC.reading), lambda: read_image(path, SPEC)):
        try:
            read()
            said.append(None)
        except UnreadableImageError as error:
            said.append(str(error))
    assert all(text is None or (path.name in text and len(text.splitlines()) == 1) for text in said)
    return said


@pytest.mark.parametrize("name", STRANGE)
def test_strange_images_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(STRANGE[name])
    assert read_by_both(tmp_path / name) == [None, None]
    assert decode_file(tmp_path / name, 3, SPEC.reading).shape == (3, 30, 40)  # of an animation, the first frame


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header says that it is so large."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_001, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_decompression_bombs_are_refused_before_they_are_decoded(size: tuple[int, int], tmp_path: Path) -> None:
    (tmp_path / "bomb.png").write_bytes(png_that_says(*size))
    said = read_by_both(tmp_path / "bomb.png")
    assert all(text is not None for text in said)
    assert size[0] > 10**6 or all("100,000,000 pixels that are allowed" in str(text) for text in said)


def test_a_real_image_that_is_too_large_is_refused(tmp_path: Path) -> None:
    Image.new("1", (10_400, 10_000)).save(tmp_path / "white.png")
    limit = "it has more than the 100,000,000 pixels that are allowed (max_pixels)"
    assert read_by_both(tmp_path / "white.png") == [f"Cannot decode {tmp_path / 'white.png'}: {limit}"] * 2


@settings(
    max_examples=environment_number("DDNN_IMAGES", 150), deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(st.data())
def test_damaged_images_are_read_or_refused_and_never_more(tmp_path: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(STRANGE)))
    content = bytearray(STRANGE[name])
    if data.draw(st.booleans()):
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=8)):
        if content:
            content[place] = data.draw(st.integers(0, 255))
    (tmp_path / name).write_bytes(content)
    read_by_both(tmp_path / name)
