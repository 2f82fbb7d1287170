"""The data sets by name: what `--data` may be, and where each one comes from."""

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ddnn.config import ShardsConfig
from ddnn.data.splits import ArrayImages, Source, Split, hold_out
from ddnn.errors import DataError, near
from ddnn.formats.arguments import path_of

if TYPE_CHECKING:
    from torchvision.datasets import CIFAR10

DATA_SETS = ("digits", "cifar10", "cifar100", "imagenet", "folder:PATH", "parquet:PATH", "shards:PATH")
"""What `open_source` understands."""


def open_source(
    data: str,
    data_root: str,
    shards: ShardsConfig | None = None,
    image_column: str | None = None,
    label_column: str | None = None,
) -> Source:
    """Open a data set by its name.

    Args:
        data: one of `DATA_SETS`.
        data_root: folder of cifar10, cifar100 and imagenet.
        shards: where remote shards are kept; None means the usual.
        image_column: of parquet files; None means the usual ones.
        label_column: likewise.

    Raises:
        DataError: the name is unknown, or the files are missing or not as they should be.
    """
    kind, colon, path = data.partition(":")
    if kind != "parquet" and (image_column, label_column) != (None, None):
        raise DataError(f"image_column and label_column are for parquet files, and data is {data!r}: leave them out")
    if not colon and kind == "digits":
        return _digits()
    if not colon and kind in ("cifar10", "cifar100"):
        return _cifar(kind, data_root)
    if not colon and kind == "imagenet":
        from ddnn.data.imagenet import open_imagenet

        return open_imagenet(Path(data_root).expanduser())
    if kind not in ("folder", "parquet", "shards"):
        raise DataError(f"There is no data set {data!r}; {near(data, DATA_SETS)}")
    if not path:
        raise DataError(f"data {data!r} needs a path: write {kind}:PATH")
    if kind == "shards":
        from ddnn.data.shards import open_shards

        return open_shards(path, shards or ShardsConfig())
    root = path_of(path, "the path of data").expanduser()
    if kind == "folder":
        from ddnn.data.folder import open_folder

        return open_folder(root)
    from ddnn.data.parquet import open_parquet
    from ddnn.data.parquet_columns import Columns

    return open_parquet(root, Columns(image_column, label_column))


def _digits() -> Source:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    pixels = np.round(np.asarray(pixels) * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    whole = Split.whole(ArrayImages(torch.from_numpy(pixels)), np.asarray(labels))
    train, test = hold_out(whole.labels, 0.2)
    return Source(
        name="digits",
        class_names=tuple("0123456789"),
        channels=1,
        own_side=lambda _: 8,
        splits={"train": lambda: whole.take(train), "test": lambda: whole.take(test)},
        absent="it has training and test images",
        mirrored=False,
    )


def _cifar(kind: str, data_root: str) -> Source:
    from torchvision.datasets import CIFAR10, CIFAR100

    data_set = CIFAR10 if kind == "cifar10" else CIFAR100
    test = _open_or_download(data_set, data_root)

    def read(train: bool) -> Split:
        images = data_set(data_root, train=True) if train else test
        pixels = torch.from_numpy(images.data).permute(0, 3, 1, 2).contiguous()
        return Split.whole(ArrayImages(pixels), np.asarray(images.targets))

    return Source(
        name=kind,
        class_names=tuple(test.classes),
        channels=3,
        own_side=lambda _: 32,
        splits={"train": lambda: read(True), "test": lambda: read(False)},
        absent="it has training and test images",
    )


def _open_or_download(data_set: "type[CIFAR10]", data_root: str) -> "CIFAR10":
    with contextlib.suppress(RuntimeError):  # "Dataset not found or corrupted"
        return data_set(data_root, train=False)
    try:
        with contextlib.redirect_stdout(sys.stderr):  # standard output may be a result in JSON
            return data_set(data_root, train=False, download=True)
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{data_set.__name__} is not in {data_root} and cannot be downloaded ({error}): "
            f"unpack {data_set.filename} from {data_set.url} into {Path(data_root) / data_set.base_folder}, "
            "or set data_root to the folder that has it"
        ) from None
