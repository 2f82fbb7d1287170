"""What clients send: test images as their files are, with labels; or noise."""

import json
from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from ddnn.data.parquet import ParquetImages, open_parquet
from ddnn.errors import DDNNError


def written(data: str | None, count: int, shape: Sequence[int], folder: Path) -> list[int]:
    """Write images into a folder; gives their labels, or none for noise.

    Args:
        data: parquet:PATH; None means noise.
        count: how many.
        shape: of the noise, (channels, height, width).
        folder: that is made.

    Raises:
        DDNNError: the data cannot be read.
    """
    folder.mkdir()
    files, labels = _noise(count, shape) if data is None else _test_images(data, count)
    for number, content in enumerate(files):
        (folder / f"{number:05}").write_bytes(content)
    return labels


def as_json(images: Path, folder: Path) -> Path:
    """The same for LitServe, which takes JSON."""
    folder.mkdir()
    for file in images.iterdir():
        (folder / file.name).write_text(json.dumps({"image": b64encode(file.read_bytes()).decode()}))
    return folder


def _test_images(data: str, count: int) -> tuple[list[bytes], list[int]]:
    kind, _, path = data.partition(":")
    if kind != "parquet":
        raise DDNNError(f"data must be parquet:PATH, not {data!r}: clients send the files as they are")
    split = open_parquet(Path(path)).splits["test"]()
    assert isinstance(split.images, ParquetImages)
    return [split.images.content(int(place)) for place in split.indices[:count]], split.labels[:count].tolist()


def _noise(count: int, shape: Sequence[int]) -> tuple[list[bytes], list[int]]:
    channels, height, width = shape
    drawn = np.random.default_rng(0).integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    return [_png(pixels if channels == 3 else pixels[..., 0]) for pixels in drawn], []


def _png(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
