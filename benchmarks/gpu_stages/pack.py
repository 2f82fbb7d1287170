"""CIFAR-10 as two parquet files of at most 60 MiB, to carry to a machine with a GPU.

python -m gpu_stages.pack SOURCE TARGET   (in benchmarks/)

SOURCE is a folder of train.parquet and test.parquet, or that of torchvision's CIFAR-10. The images become JPEG, in the
best quality with which both files fit; files that fit already are copied as they are.
"""

import io
import shutil
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from torchvision.transforms.functional import to_pil_image

from ddnn.config import DataConfig
from ddnn.data.sources import open_source

LIMIT = 60 * 2**20
QUALITIES = (97, 95, 92, 90, 85, 80, 70, 60)
SPLITS = ("train", "test")


def pack(source: Path, target: Path, limit: int = LIMIT, *, copy: bool = True) -> int:
    """Write both files, or copy them where they fit and may be copied; returns their size in bytes."""
    target.mkdir(parents=True, exist_ok=True)
    there = [source / f"{split}.parquet" for split in SPLITS]
    if copy and all(file.is_file() for file in there) and sum(file.stat().st_size for file in there) <= limit:
        for file in there:
            shutil.copyfile(file, target / file.name)
        return sum(file.stat().st_size for file in there)
    for quality in QUALITIES:
        size = sum(_write(source, target, split, quality) for split in SPLITS)
        if size <= limit:
            return size
    raise ValueError(f"{source} does not fit into {limit} bytes")


def _write(source: Path, target: Path, split: str, quality: int) -> int:
    parquet = (source / "train.parquet").is_file()
    config = DataConfig(data=f"parquet:{source}" if parquet else "cifar10", data_root=str(source))
    opened = open_source(config.data, config.data_root, config.shards)
    images = opened.split(split)
    encoded = []
    for index in range(len(images)):
        content = io.BytesIO()
        to_pil_image(images.image(index, 3)).save(content, "JPEG", quality=quality, optimize=True)
        encoded.append({"bytes": content.getvalue(), "path": None})
    labels = [int(label) for label in images.labels]
    file = target / f"{split}.parquet"
    pq.write_table(pa.table({"image": encoded, "label": labels}), file, compression="none")
    return file.stat().st_size


if __name__ == "__main__":
    print(f"{pack(Path(sys.argv[1]), Path(sys.argv[2])) / 2**20:.1f} MiB")
