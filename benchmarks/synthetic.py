"""Made-up pictures in the layouts that ddnn reads, so that its pipelines can be timed without a data set.

They are smooth colours with grain, so that JPEG takes about as many bits for a pixel as photographs do: at the default
size some 110 kB, ImageNet's mean. A few different pictures are enough, each under many names, for nothing is cached
once it is decoded.
"""

import os
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from ddnn.data.shards import write_shards

CLASSES = 10
GRAIN = 24.0  # standard deviation of the noise on each colour, of 255
DIFFERENT = 64
"""Pictures that differ."""


def jpegs(height: int, width: int) -> list[bytes]:
    """Encoded pictures of that size in pixels."""
    generator = np.random.default_rng(0)
    return [_jpeg(generator, height, width) for _ in range(DIFFERENT)]


def write_folder(root: Path, count: int, height: int, width: int) -> str:
    """Make a folder of so many training images, one folder a class; returns what `ddnn train --data` takes."""
    root.mkdir()
    sources = []
    for number, encoded in enumerate(jpegs(height, width)):
        sources.append(root / f"{number}.jpg")
        sources[-1].write_bytes(encoded)
    for number, label in enumerate(_labels(count)):
        folder = root / "images" / "train" / f"class{label}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(sources[number % DIFFERENT], folder / f"{number}.jpg")
    return f"folder:{root / 'images'}"


def write_parquet(root: Path, count: int, height: int, width: int) -> str:
    """The same as a folder with one parquet file in Hugging Face's layout."""
    root.mkdir()
    encoded = jpegs(height, width)
    images = [{"bytes": encoded[number % DIFFERENT], "path": f"{number}.jpg"} for number in range(count)]
    pq.write_table(pa.table({"image": images, "label": list(_labels(count))}), root / "train.parquet")
    return f"parquet:{root}"


def write_shards_of(root: Path, count: int, height: int, width: int) -> str:
    """The same in WebDataset's tars with an index."""
    folder = write_folder(root, count, height, width).partition(":")[2]
    write_shards(Path(folder), root / "shards")
    return f"shards:{root / 'shards'}"


def _labels(count: int) -> Iterator[int]:
    return (number % CLASSES for number in range(count))


def _jpeg(generator: np.random.Generator, height: int, width: int) -> bytes:
    coarse = Image.fromarray(generator.integers(256, size=(6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    grainy = smooth + generator.normal(scale=GRAIN, size=smooth.shape)
    file = BytesIO()
    Image.fromarray(grainy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()
