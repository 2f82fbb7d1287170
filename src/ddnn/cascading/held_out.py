"""On which images thresholds are chosen: some that the network has not learnt, and that no result is measured on."""

from dataclasses import replace
from pathlib import Path

from ddnn.config import CascadeConfig, DataConfig
from ddnn.data import Data
from ddnn.errors import DDNNError
from ddnn.measuring.evaluation import open_evaluation_data
from ddnn.network import DepthDynamicNetwork
from ddnn.runs.run_directory import RunDirectory

BATCH_SIZE = 256
"""Of passes over images in which no time is measured."""


def open_images(network: DepthDynamicNetwork, run: Path, config: CascadeConfig) -> tuple[Data, str]:
    """Data whose validation images were held out of the run's training.

    Returns:
        The data, and its name.

    Raises:
        DDNNError: if it is not known which data, or none of its images were held out.
    """
    wanted = _wanted(run, config)
    data = open_evaluation_data(network, wanted)
    if not data.has_validation:
        raise DDNNError(
            f"no images of {wanted.data} were held out in the training of {run} (validation 0), and on images that it "
            "has learnt its nets are too sure of themselves for thresholds to be chosen; train with --validation 0.1, "
            "or give other labelled images with --data"
        )
    return data, wanted.data


def _wanted(run: Path, config: CascadeConfig) -> DataConfig:
    directory = RunDirectory(run)
    if not directory.config_file.is_file():
        if config.data is None:
            raise DDNNError(
                f"{run} is a saved network, not a run, so it does not say which images were held out; give --data "
                "with images that it has not learnt"
            )
        own = DataConfig()
    else:
        own = directory.read_config()
    if config.data is not None and config.data != own.data:
        other = _prepared(config, config.data, config.data_root, 0)
        return replace(other, shards=replace(own.shards, index=None))
    root = own.data_root if config.data is None else config.data_root
    wanted = _prepared(config, own.data, root, own.max_corrupt)
    return replace(wanted, train_images=own.train_images, validation=own.validation, shards=own.shards)


def _prepared(config: CascadeConfig, data: str, root: str, allowed: int) -> DataConfig:
    """The whole data set; `allowed` images of a split may be left out, where the configuration does not say it."""
    allowed = allowed if config.max_corrupt is None else config.max_corrupt
    return DataConfig(data, root, batch_size=BATCH_SIZE, workers=config.workers, max_corrupt=allowed)
