"""On which images depths that were not trained are calibrated and scored.

Scores that decide something come from images that were held out of the training, so that the test images can judge
what was decided.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from ddnn.config import ChooseConfig, DataConfig, EvaluateConfig
from ddnn.data import Data, Loader
from ddnn.measuring.evaluation import open_evaluation_data
from ddnn.network import DepthDynamicNetwork
from ddnn.runs.run_directory import RunDirectory, evaluation_data


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


def open_images(network: DepthDynamicNetwork, run: Path, config: ChooseConfig, device: torch.device) -> Images:
    """The images of the run, or of the data set that was asked for.

    Of that one, nobody knows which images the network was trained on, so it has held-out images only if it comes with
    a split of its own for them.

    Raises:
        DDNNError: if there is no data set, or it does not fit the network.
    """
    chosen = data_config(run, config)
    data = open_evaluation_data(network, chosen)
    held = data.validation(device)
    return Images(
        _for_norms(data, device, config.calibration_images),
        data.test(device) if held is None else held,
        f"{'test' if held is None else 'validation'} images of {chosen.data}",
        None if held is None else data.test(device),
    )


def data_config(run: Path, config: ChooseConfig) -> DataConfig:
    """The run's own data as it was trained on, or what was asked for.

    Raises:
        DDNNError: if neither is known.
    """
    directory = RunDirectory(run)
    if config.data is None and directory.config_file.is_file():
        own = directory.read_config()
        return own if config.max_corrupt is None else replace(own, max_corrupt=config.max_corrupt)
    asked = EvaluateConfig(data=config.data, data_root=config.data_root, max_corrupt=config.max_corrupt)
    return replace(evaluation_data(run, asked), validation=0.0)


def _for_norms(data: Data, device: torch.device, wanted: int) -> list[Tensor]:
    """Whole batches, because each counts alike; less than one batch if no more is wanted."""
    batches: list[Tensor] = []
    for images, _ in data.for_norms(device):
        if batches and sum(map(len, batches)) + len(images) > wanted:
            break
        batches.append(images[:wanted])
    return batches
