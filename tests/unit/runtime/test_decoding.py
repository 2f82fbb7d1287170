"""Every kind of file, mode and orientation: both decoders against each other, and against what a viewer shows."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ddnn.data.images import decode as decode_with_torch
from ddnn.data.images import read_size
from ddnn_runtime.decoding import decode, jpeg_may_be_turned
from ddnn_runtime.errors import UnreadableImageError
from ddnn_runtime.reading import BEFORE, Reading
from tests.repeats import environment_number

NOW = Reading()
ORIENTED = {"JPEG": {"quality": 95}, "PNG": {}, "WEBP": {"lossless": True}, "TIFF": {}, "MPO": {"quality": 95}}
MODES = {
    "JPEG": ["RGB", "L", "CMYK"],
    "PNG": ["RGB", "L", "RGBA", "LA", "P", "1", "I;16"],
    "WEBP": ["RGB", "RGBA"],
    "TIFF": ["RGB", "L", "RGBA", "LA", "P", "1", "I;16", "F", "CMYK"],
    "GIF": ["L", "P"],
    "BMP": ["RGB", "L", "P", "1"],
    "PPM": ["RGB", "L", "1"],
    "TGA": ["RGB", "L", "RGBA"],
}


def picture(mode: str, size: tuple[int, int], seed: int = 0) -> Image.Image:
    draw = np.random.default_rng(seed)
    width, height = size
    if mode == "F":
        return Image.fromarray(draw.random((height, width), dtype=np.float32))
    if mode == "I;16":
        return Image.fromarray(draw.integers(0, 65536, (height, width), dtype=np.uint16))
    image = Image.fromarray(draw.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
    return image if mode == "RGBA" else image.convert(mode) if mode == "LA" else image.convert("RGB").convert(mode)


def encoded(image: Image.Image, kind: str, orientation: int | None = None, **options: Any) -> bytes:
    file = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        options["exif"] = exif
    image.save(file, kind, **options)
    return file.getvalue()


def by_both(content: bytes, channels: int = 3, reading: Reading = NOW) -> np.ndarray:
    """(channels, height, width), which must be the same to the bit."""
    found = np.asarray(decode(content, channels, "it", reading))
    found = found[None] if found.ndim == 2 else found.transpose(2, 0, 1)
    with_torch = decode_with_torch(content, channels, "it", reading)
    np.testing.assert_array_equal(with_torch.numpy(), found)
    assert len(found) == channels
    return found.astype(int)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """How a viewer shows stored pixels (channels, height, width), by EXIF's table: where row 0 and column 0 are."""
    if orientation in (2, 3, 6, 7):  # mirrored left and right as stored, or after rows and columns change places
        pixels = pixels[..., ::-1] if orientation in (2, 3) else pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[:, ::-1] if orientation in (3, 4) else pixels[..., ::-1]
    return pixels.transpose(0, 2, 1) if orientation >= 5 else pixels


@settings(max_examples=environment_number("DDNN_IMAGES", 60), deadline=None, derandomize=True, database=None)
@given(st.data())
def test_any_kind_mode_size_and_orientation_is_read_alike_and_upright(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(sorted(MODES)))
    mode = data.draw(st.sampled_from(MODES[kind]))
    size = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    channels = data.draw(st.sampled_from([1, 3]))
    orientation = data.draw(st.integers(1, 8)) if kind in ORIENTED else None
    image, options = picture(mode, size), ORIENTED.get(kind, {})
    plain = by_both(encoded(image, kind, **options), channels)
    assert plain.shape == (channels, *size[::-1])
    content = encoded(image, kind, orientation, **options)
    expected = plain if orientation is None else turned(plain, orientation)
    np.testing.assert_array_equal(by_both(content, channels), expected)
    assert read_size(content, "it") == expected.shape[1:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "MPO"])
def test_stored_orientation_is_left_alone(kind: str) -> None:
    image, options = picture("RGB", (9, 5)), ORIENTED[kind]
    plain, tagged = encoded(image, kind, **options), encoded(image, kind, 6, **options)
    for reading in (BEFORE, Reading(orientation="stored")):
        np.testing.assert_array_equal(by_both(tagged, 3, reading), by_both(plain, 3, reading))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_that_is_none_turns_nothing(value: int) -> None:
    image = picture("RGB", (9, 5))
    np.testing.assert_array_equal(by_both(encoded(image, "PNG", value)), by_both(encoded(image, "PNG")))


def test_damaged_exif_does_not_lose_the_picture() -> None:
    content = bytearray(encoded(picture("RGB", (9, 5)), "JPEG", 6))
    place = content.index(b"Exif") + 6
    content[place : place + 8] = b"\xff" * 8
    assert by_both(bytes(content)).shape == (3, 5, 9)


def test_an_orientation_in_xmp_counts() -> None:
    packet = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    content = encoded(picture("RGB", (9, 5)), "JPEG", xmp=packet)
    assert jpeg_may_be_turned(content)
    assert by_both(content).shape == (3, 9, 5)


def test_most_jpegs_need_no_second_look() -> None:
    assert not jpeg_may_be_turned(encoded(picture("RGB", (9, 5)), "JPEG"))
    assert jpeg_may_be_turned(encoded(picture("RGB", (9, 5)), "JPEG", 1))


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("background", [(255, 255, 255), (10, 200, 30)])
def test_what_lies_below_transparent_pixels_is_not_seen(kind: str, background: tuple[int, int, int]) -> None:
    pixels = np.array(picture("RGBA", (7, 6)))
    pixels[..., 3] = np.arange(42).reshape(6, 7) * 6  # 0 to 246
    content = encoded(Image.fromarray(pixels), kind, **({"lossless": True, "exact": True} if kind == "WEBP" else {}))
    found = by_both(content, 3, Reading(background=background))
    alpha = pixels[..., 3:] / 255
    expected = pixels[..., :3] * alpha + np.array(background) * (1 - alpha)
    assert np.abs(found.transpose(1, 2, 0) - expected).max() <= 1
    np.testing.assert_array_equal(found[:, 0, 0], background)
    np.testing.assert_array_equal(by_both(content, 3, BEFORE).transpose(1, 2, 0), pixels[..., :3])


@pytest.mark.parametrize("kind", ["GIF", "PNG"])
def test_a_transparent_entry_of_a_palette_is_the_background(kind: str) -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 1]], dtype=np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    found = by_both(encoded(image, kind, transparency=1), 3, Reading(background=(9, 9, 9)))
    assert found.transpose(1, 2, 0).tolist() == [[[255, 0, 0], [9, 9, 9]], [[0, 0, 255], [9, 9, 9]]]


def test_a_transparent_value_of_a_grey_picture_is_the_background() -> None:
    for values in (np.array([[3, 200]], dtype=np.uint8), np.array([[3 << 8, 200 << 8]], dtype=np.uint16)):
        content = encoded(Image.fromarray(values), "PNG", transparency=int(values[0, 0]))
        assert by_both(content, 1).tolist() == [[[255, 200]]]


def test_grey_of_a_coloured_background() -> None:
    content = encoded(Image.new("LA", (2, 2), (7, 0)), "PNG")
    assert set(by_both(content, 1, Reading(background=(255, 0, 0))).flat) == {76}


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_lose_the_lower_eight(kind: str) -> None:
    values = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    found = by_both(encoded(Image.fromarray(values), kind), 1)
    np.testing.assert_array_equal(found[0].ravel(), np.arange(256))
    np.testing.assert_array_equal(by_both(encoded(Image.fromarray(values), kind), 3)[2], found[0])


def tiff(values: np.ndarray, bits: int, photometric: int = 1, content: bytes | None = None) -> bytes:
    """A grey TIFF of a kind that Pillow reads and does not write."""
    content = values.tobytes() if content is None else content
    height, width = values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 122), (277, 1), (278, height)]
    tags.append((279, len(content)))
    entries = b"".join(struct.pack("<HHII", tag, 4 if tag in (273, 279) else 3, 1, value) for tag, value in tags)
    return (b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)).ljust(122, b"\0") + content


def test_tiffs_of_twelve_bits_and_with_white_at_zero() -> None:
    packed = bytes([0xFF, 0xF0, 0x00, 0x80, 0x00, 0x00])  # 4095, 0, 2048, 0
    assert by_both(tiff(np.zeros((1, 4)), 12, content=packed), 1).tolist() == [[[255, 0, 128, 0]]]
    values = np.array([[0, 65535, 257]], dtype=np.uint16)
    assert by_both(tiff(values, 16), 1).tolist() == [[[0, 255, 1]]]
    assert by_both(tiff(values, 16, photometric=0), 1).tolist() == [[[255, 0, 254]]]


@pytest.mark.parametrize(
    ("values", "levels", "expected"),
    [
        (np.array([[0, 0.5, 1]], dtype=np.float32), None, [0, 128, 255]),
        (np.array([[-1, 0, 3]], dtype=np.float32), (-1.0, 3.0), [0, 64, 255]),
        (np.array([[0, 65535, 257 * 9]], dtype=np.int32), (0.0, 65535.0), [0, 255, 9]),
        (np.array([[0, 4095, 2048]], dtype=np.uint16), (0.0, 4095.0), [0, 255, 128]),
    ],
)
def test_numbers_between_black_and_white(values: np.ndarray, levels: Any, expected: list[int]) -> None:
    found = by_both(encoded(Image.fromarray(values), "TIFF"), 3, Reading(levels=levels))
    assert found.tolist() == [[expected]] * 3


@pytest.mark.parametrize(
    ("values", "levels", "message"),
    [
        (np.array([[0, 255]], dtype=np.float32), None, "values from 0 to 255, where 0 is black and 1 white"),
        (np.array([[-0.1, 1]], dtype=np.float32), None, "values from -0.1 to 1"),
        (np.array([[np.nan, 1]], dtype=np.float32), None, "values from nan to nan"),
        (np.array([[0, 255]], dtype=np.int32), None, "32-bit integers"),
        (np.array([[0, 5000]], dtype=np.uint16), (0.0, 4095.0), "values from 0 to 5000"),
    ],
)
def test_numbers_beyond_are_refused_by_name(values: np.ndarray, levels: Any, message: str) -> None:
    content = encoded(Image.fromarray(values), "TIFF")
    for read in (decode, decode_with_torch):
        with pytest.raises(UnreadableImageError, match=message) as error:
            read(content, 3, "it.tif", Reading(levels=levels))
        assert "it.tif" in str(error.value)
        assert "--levels" in str(error.value)


def test_networks_of_before_clip_as_they_did() -> None:
    for kind in (np.float32, np.int32):
        values = np.array([[-5, 0, 100, 300]]).astype(kind)
        assert by_both(encoded(Image.fromarray(values), "TIFF"), 1, BEFORE).tolist() == [[[0, 0, 100, 255]]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_the_limit_of_pixels_is_the_one_that_is_given(kind: str) -> None:
    content = encoded(picture("RGB", (20, 10)).convert("P" if kind == "GIF" else "RGB"), kind)
    assert by_both(content, 3, Reading(max_pixels=200)).shape == (3, 10, 20)
    for read in (decode, decode_with_torch):
        with pytest.raises(UnreadableImageError, match="more than the 199 pixels that are allowed"):
            read(content, 3, "it", Reading(max_pixels=199))


def test_pillows_own_limit_gives_way_to_a_larger_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    content = encoded(picture("RGB", (20, 10)), "PNG")
    assert by_both(content, 3, Reading(max_pixels=200)).shape == (3, 10, 20)
    assert Image.MAX_IMAGE_PIXELS == 50


def test_many_frames_are_not_decoded_for_the_first() -> None:
    frames = [picture("P", (20, 10), seed) for seed in range(5)]
    content = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    for reading in (Reading(max_pixels=300), Reading(background=None, max_pixels=300)):
        assert by_both(content, 3, reading).shape == (3, 10, 20)


def test_a_long_png_of_few_bytes_is_refused_before_it_is_decoded() -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 150_000_000, 1, 0, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    for read in (decode, decode_with_torch):
        with pytest.raises(UnreadableImageError, match="more than the 100,000,000 pixels"):
            read(content, 3, "it")
