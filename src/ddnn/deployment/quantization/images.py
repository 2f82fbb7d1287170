"""On which images a network is calibrated, blocks are chosen, and the result is judged: three sets that do not meet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from ddnn.config import QuantizeConfig
from ddnn.errors import DataError
from ddnn.network import DepthDynamicNetwork
from ddnn.runs.data_of_run import data_of_run, deciding_images, open_images

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


def images_of(network: DepthDynamicNetwork, run: Path, config: QuantizeConfig) -> Images:
    """The images of the run, or of the data set that was asked for.

    Validation images decide: those that were held out when the run was trained. Where there are none, or the data set
    is another, of which nobody knows what the network has seen, test images do.

    Raises:
        DDNNError: if there is no data set, or it does not fit the network, or has no training images.
    """
    found = data_of_run(run, config.data, config.data_root, max_corrupt=config.max_corrupt)
    wanted = found.unaugmented(BATCH_SIZE, config.workers)
    data = open_images(network, wanted, classes_from=config.classes_from)
    calibration = [images for images, _ in _first(data.training("cpu"), config.calibration_images)]
    chosen_on, split = deciding_images(data, "cpu")
    deciding = list(_first(chosen_on, config.validation_images))
    if not calibration or not deciding:
        raise DataError(f"{wanted.data} has no image to {'decide on' if calibration else 'calibrate with'}")
    return Images(wanted.data, calibration, deciding, split, _Arrays(data.test("cpu")))


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
