"""On which images thresholds are chosen: some that the network has not learnt, and that no result is measured on."""

from pathlib import Path

from ddnn.config import CascadeConfig, DataConfig
from ddnn.data import Data
from ddnn.errors import DDNNError
from ddnn.network import DepthDynamicNetwork
from ddnn.runs.data_of_run import data_of_run, open_images


def held_out_images(network: DepthDynamicNetwork, run: Path, config: CascadeConfig) -> tuple[Data, str]:
    """Data with images that the network has not learnt, to choose thresholds on; and its name. Of another data set than
    the run's, all are such.

    Raises:
        DDNNError: if it is not known which data, or none of its images were held out.
    """
    found = data_of_run(
        run,
        config.data,
        config.data_root,
        max_corrupt=config.max_corrupt,
        held_out=DataConfig.validation,
        named_again="own",
    )
    title = found.config.data
    data = open_images(network, found.unaugmented(workers=config.workers), classes_from=config.classes_from)
    if not data.has_validation:
        raise DDNNError(
            f"no images of {title} were held out in the training of {run} (validation 0), and on images that it "
            "has learnt its nets are too sure of themselves for thresholds to be chosen; train with --validation 0.1, "
            "or give other labelled images with --data"
        )
    return data, title
