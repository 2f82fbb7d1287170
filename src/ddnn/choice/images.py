"""On which images depths that were not trained are calibrated and scored.

Scores that decide something come from images that were held out of the training, so that the test images can judge
what was decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ddnn.config import ChooseConfig
from ddnn.data import Data, Loader
from ddnn.network import DepthDynamicNetwork
from ddnn.runs.data_of_run import DataOfRun, data_of_run, deciding_images, open_images


@dataclass(frozen=True)
class Images:
    """What a search needs of a data set.

    Args:
        for_norms: batches of training images, (batch, channels, height, width), augmented as in training.
        scoring: labelled images that decide.
        scored_on: what they are, in words.
        test: labelled images that judge what was decided; None where the same ones have decided.
    """

    for_norms: Sequence[Tensor]
    scoring: Loader
    scored_on: str
    test: Loader | None

    @property
    def calibrated_on(self) -> int:
        """How many images there are for calibration."""
        return sum(len(batch) for batch in self.for_norms)


def images_of(network: DepthDynamicNetwork, run: Path, config: ChooseConfig, device: torch.device) -> Images:
    """The images of the run, or of the data set that was asked for.

    Of that one, nobody knows which images the network was trained on, so it has held-out images only if it comes with
    a split of its own for them.

    Raises:
        DDNNError: if there is no data set, or it does not fit the network.
    """
    chosen = wanted(run, config).config
    data = open_images(network, chosen, classes_from=config.classes_from)
    scoring, split = deciding_images(data, device)
    return Images(
        _for_norms(data, device, config.calibration_images),
        scoring,
        str(data.portion(split)),
        None if split == "test" else data.test(device),
    )


def wanted(run: Path, config: ChooseConfig) -> DataOfRun:
    """The run's own data as it was trained on, or what was asked for; see `data_of_run`."""
    return data_of_run(run, config.data, config.data_root, max_corrupt=config.max_corrupt)


def _for_norms(data: Data, device: torch.device, most: int) -> list[Tensor]:
    """Whole batches, because each counts alike; less than one batch if no more is wanted."""
    batches: list[Tensor] = []
    for images, _ in data.for_norms(device):
        if batches and sum(map(len, batches)) + len(images) > most:
            break
        batches.append(images[:most])
    return batches
