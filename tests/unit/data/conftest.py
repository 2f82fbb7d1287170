import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tests.data_paths import find_data


@pytest.fixture(scope="session")
def cifar10() -> Path:
    return find_data("cifar10")


@pytest.fixture(scope="session")
def imagenet_sample() -> Path:
    return find_data("imagenet1k_sample")


@pytest.fixture(scope="session")
def encode() -> Callable[[tuple[int, int], int], bytes]:
    """Random pixels of (height, width), as a PNG file, by seed."""

    def to_png(size: tuple[int, int], seed: int) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).save(stream, "PNG")
        return stream.getvalue()

    return to_png


@pytest.fixture
def make_folder(tmp_path: Path, encode: Callable[..., bytes]) -> Callable[..., Path]:
    """Write {"train/cat": 3, ...}: so many images in that folder; returns the root."""

    def make(counts: dict[str, int], size: tuple[int, int] = (80, 96)) -> Path:
        for number, (folder, count) in enumerate(counts.items()):
            (tmp_path / "images" / folder).mkdir(parents=True)
            for index in range(count):
                (tmp_path / "images" / folder / f"{index}.png").write_bytes(encode(size, 100 * number + index))
        return tmp_path / "images"

    return make


@pytest.fixture
def make_parquet(tmp_path: Path, encode: Callable[..., bytes]) -> Callable[..., Path]:
    """Write one file of images with the given labels; returns the folder."""

    def make(
        file: str,
        labels: list[int],
        *,
        names: list[str] | None = None,
        size: tuple[int, int] = (10, 10),
        image: str = "image",
        label: str = "label",
        plain: bool = False,
        broken: int | None = None,
    ) -> Path:
        content = [b"no image" if index == broken else encode(size, index) for index in range(len(labels))]
        images = content if plain else [{"bytes": data, "path": None} for data in content]
        kind = pa.binary() if plain else pa.struct({"bytes": pa.binary(), "path": pa.string()})
        table = pa.table({image: pa.array(images, kind), label: pa.array(labels)})
        if names is not None:
            features = {label: {"_type": "ClassLabel", "names": names}}
            table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
        root = tmp_path / "parquet"
        root.mkdir(exist_ok=True)
        pq.write_table(table, root / file)
        return root

    return make
