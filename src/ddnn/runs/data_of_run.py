"""Which data a run means: the one place that answers it.

A run says its data set, and how that was divided: which images it was trained on, and which were held out. A saved
network and an export only say how images are prepared. Who names another data set gets that one, of which nobody knows
what the network has seen.
"""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from ddnn.config import AugmentConfig, DataConfig
from ddnn.data import ClassesFrom, Data, Loader, open_data
from ddnn.errors import DataError, DDNNError
from ddnn.network import DepthDynamicNetwork
from ddnn.runs.run_directory import RunDirectory
from ddnn_runtime.manifest import is_export

BATCH_SIZE = 256
"""Images in a batch where no time is measured."""
PLAIN = AugmentConfig(crop=0, scale=1.0, flip=False)
"""Training images as they are."""


@dataclass(frozen=True)
class DataOfRun:
    """A data set, and what is known of it.

    Args:
        config: which images, and how they are divided and prepared; those of a run as it was trained on.
        own: whether that is the division that the network was trained with.
        whole: whether all images of a data set without splits may be scored: of other data than the run's, nobody has
            held some out.
    """

    config: DataConfig
    own: bool
    whole: bool = False

    def unaugmented(self, batch_size: int = BATCH_SIZE, workers: int | None = None) -> DataConfig:
        """The same images and the same division, each image as it is."""
        whole = self.config
        return DataConfig(
            whole.data,
            whole.data_root,
            train_images=whole.train_images,
            validation=whole.validation,
            augment=PLAIN,
            batch_size=batch_size,
            workers=workers,
            max_corrupt=whole.max_corrupt,
            shards=whole.shards,
            image_column=whole.image_column,
            label_column=whole.label_column,
        )


def data_of_run(
    run: Path,
    data: str | None = None,
    data_root: str = DataConfig.data_root,
    *,
    max_corrupt: int | None = None,
    held_out: float = 0.0,
    named_again: Literal["own", "other"] = "other",
) -> DataOfRun:
    """What a run was trained on, or the data set that was asked for.

    Args:
        run: a run directory, or that of a saved network or an export.
        data: the data set that is asked for; None means the run's own.
        data_root: where it is, if one is asked for.
        max_corrupt: images of a split that may be left out; None means as many as in the run, and of other data none.
        held_out: share of another data set's training images to hold out, where it has no split of its own for that.
        named_again: whether the run's data set, asked for by its name, is divided as it was in the run: it may lie in
            another place, so that nobody knows whether it is the same.

    Raises:
        DDNNError: if no data set is asked for, and the run does not say its own.
    """
    directory = RunDirectory(run)
    trained = directory.read_config() if directory.config_file.is_file() else None
    if data is None and trained is None:
        what = "an export" if is_export(run) else "a saved network"
        raise DDNNError(
            f"{run} is {what}, not a run, so it does not say which images it was trained on, and which were held out; "
            "give --data"
        )
    if trained is not None and (data is None or (named_again == "own" and data == trained.data)):
        allowed = trained.max_corrupt if max_corrupt is None else max_corrupt
        return DataOfRun(
            replace(trained, max_corrupt=allowed, data_root=trained.data_root if data is None else data_root), own=True
        )
    assert data is not None
    shards = DataConfig().shards if trained is None else replace(trained.shards, index=None)
    other = DataConfig(
        data, data_root, validation=held_out, batch_size=BATCH_SIZE, max_corrupt=max_corrupt or 0, shards=shards
    )
    if trained is not None and data.startswith("parquet:"):  # whose columns most likely have the same names
        other = replace(other, image_column=trained.image_column, label_column=trained.label_column)
    return DataOfRun(other, own=False, whole=trained is None or not _same(data, trained.data))


def _same(data: str, other: str) -> bool:
    """Whether two data sets go by the same name, or lie in one place."""
    places = [name.partition(":") for name in (data, other)]
    (kind, _, path), (other_kind, _, other_path) = places
    return data == other or (
        kind == other_kind and bool(path) and os.path.realpath(path) == os.path.realpath(other_path)
    )


def open_images(
    network: DepthDynamicNetwork, config: DataConfig, *, classes_from: ClassesFrom | None = None, whole: bool = False
) -> Data:
    """A data set whose images are prepared as the network saw them in training, with the network's classes.

    Args:
        network: any.
        config: of the data set.
        classes_from: which of its classes is which of the network's, where names do not tell.
        whole: all images of a data set without splits are the test split.

    Raises:
        DataError: if it cannot be opened, or has other channels or another number of classes than the network.
    """
    if classes_from is not None and network.data_spec is None:
        raise DataError("classes_from needs a network that knows its classes, and this one was saved without them")
    data = open_data(config, seed=0, spec=network.data_spec, classes_from=classes_from, whole=whole)
    classes, channels = data.spec.num_classes, data.spec.channels
    if (classes, channels) != (network.num_classes, network.in_channels):
        raise DataError(
            f"{config.data} has {classes} classes and {channels} channels, the network "
            f"{network.num_classes} and {network.in_channels}; evaluate it on data like its own"
        )
    return data


def deciding_images(data: Data, device: torch.device | str) -> tuple[Loader, Literal["validation", "test"]]:
    """Labelled images that may decide something, and which they are: those that were held out of the training, so that
    the test images can judge what was decided; where there are none, the test images."""
    held = data.validation(device)
    return (data.test(device), "test") if held is None else (held, "validation")
