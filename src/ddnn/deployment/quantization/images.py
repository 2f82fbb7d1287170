"""On which images a network is calibrated, blocks are chosen, and the result is judged: three sets that do not meet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import Tensor

from ddnn.config import AugmentConfig, DataConfig, EvaluateConfig, QuantizeConfig
from ddnn.errors import DataError
from ddnn.measuring.evaluation import open_evaluation_data
from ddnn.network import DepthDynamicNetwork
from ddnn.runs.run_directory import RunDirectory, evaluation_data

BATCH_SIZE = 64
"""Images in a call where no time is measured."""

Labelled = tuple[np.ndarray, np.ndarray]
"""Images, float32 of shape (batch, channels, height, width), and their labels, int64 of shape (batch,)."""


@dataclass(frozen=True)
class Images:
    """The images of one quantisation.

    Args:
        data: what they come from.
        calibration: batches of training images, not augmented.
        deciding: labelled images that choose blocks.
        decided_on: which ones these are, in words.
        test: labelled images that judge the result.
    """

    data: str
    calibration: Sequence[np.ndarray]
    deciding: Sequence[Labelled]
    decided_on: str
    test: Iterable[Labelled]


def open_images(network: DepthDynamicNetwork, run: Path, config: QuantizeConfig) -> Images:
    """The images of the run, or of the data set that was asked for.

    Validation images decide: those that were held out when the run was trained. Where there are none, or the data set
    is another, of which nobody knows what the network has seen, test images do.

    Raises:
        DDNNError: if there is no data set, or it does not fit the network, or has no training images.
    """
    wanted = _data_config(run, config)
    data = open_evaluation_data(network, wanted)
    calibration = [images for images, _ in _first(data.training("cpu"), config.calibration_images)]
    held, test = data.validation("cpu"), _Arrays(data.test("cpu"))
    deciding = list(_first(data.test("cpu") if held is None else held, config.validation_images))
    if not calibration or not deciding:
        raise DataError(f"{wanted.data} has no image to {'decide on' if calibration else 'calibrate with'}")
    return Images(wanted.data, calibration, deciding, "test" if held is None else "validation", test)


def count(batches: Iterable[Labelled] | Sequence[np.ndarray]) -> int:
    """How many images there are."""
    return sum(len(batch[0]) if isinstance(batch, tuple) else len(batch) for batch in batches)


@dataclass(frozen=True)
class _Arrays:
    """A loader's batches as arrays."""

    loader: Iterable[tuple[Tensor, Tensor]]

    def __iter__(self) -> Iterator[Labelled]:
        for images, labels in self.loader:
            yield images.numpy(), labels.numpy()


def _first(batches: Iterable[tuple[Tensor, Tensor]], wanted: int) -> Iterator[Labelled]:
    """The first images, as many as wanted or as there are."""
    for images, labels in _Arrays(batches):
        yield images[:wanted], labels[:wanted]
        wanted -= len(images)
        if wanted <= 0:
            return


def _data_config(run: Path, config: QuantizeConfig) -> DataConfig:
    """The run's own data, divided as it was trained on, or what was asked for; nothing is augmented."""
    plain = AugmentConfig(crop=0, scale=1.0, flip=False)
    directory = RunDirectory(run)
    if config.data is None and directory.config_file.is_file():
        own = directory.read_config()
        parts = {"train_images": own.train_images, "validation": own.validation, "shards": own.shards}
        allowed = own.max_corrupt if config.max_corrupt is None else config.max_corrupt
        chosen = DataConfig(own.data, own.data_root, max_corrupt=allowed, **parts)
    else:
        asked = EvaluateConfig(data=config.data, data_root=config.data_root, max_corrupt=config.max_corrupt)
        chosen = replace(evaluation_data(run, asked), validation=0.0)
    return replace(chosen, augment=plain, batch_size=BATCH_SIZE, workers=config.workers)
