"""Small data sets in files, some of them with what should not be there."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

COUNT = 24
LABELS = [number % 2 for number in range(COUNT)]


def encoded(number: int, side: int = 8) -> bytes:
    """A PNG."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


IMAGES: list[Any] = [{"bytes": encoded(number), "path": None} for number in range(COUNT)]


def write_parquet(folder: Path, images: list[Any], labels: list[Any], names: Any = None, label_type: Any = None) -> str:
    """Training and test images; gives what `--data` takes."""
    features = {"info": {"features": {"label": {"names": names}}}}
    table = pa.table({"image": images, "label": pa.array(labels, type=label_type)})
    table = table.replace_schema_metadata(None if names is None else {"huggingface": json.dumps(features)})
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        pq.write_table(table, folder / f"{split}.parquet")
    return f"parquet:{folder}"


def write_folder(folder: Path, first: bytes | None = None, side: int = 8) -> str:
    """Two classes, the first image of each with other bytes."""
    for split in ("train", "val"):
        for label in ("a", "b"):
            place = folder / split / label
            place.mkdir(parents=True)
            for number in range(COUNT // 2):
                content = first if number == 0 and first is not None else encoded(number, side)
                (place / f"{number:02}.png").write_bytes(content)
    return f"folder:{folder}"
