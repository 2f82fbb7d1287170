"""Evaluate a run: the one function that opens its network and the images, and scores every net."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ddnn.config import DataConfig, EvaluateConfig, configured
from ddnn.data.portion import Portion
from ddnn.formats.arguments import path_of
from ddnn.measuring.devices import pick_device
from ddnn.measuring.evaluation import Score, scores_as_json
from ddnn.measuring.evaluation import evaluate as evaluate_network
from ddnn.network.loading import load
from ddnn.runs.data_of_run import data_of_run, open_images


@dataclass(frozen=True)
class Evaluation:
    """How good the nets of a run are on a data set.

    Args:
        run: the directory.
        data: the data set, whose test images were taken.
        scores: of every net, shallow to deep.
        nets: depth and score of each net, ready for JSON.
        portion: on which images the scores stand.
    """

    run: str
    data: str
    scores: Mapping[str, Score]
    nets: Mapping[str, Any]
    portion: Portion

    def to_json(self) -> dict[str, Any]:
        """What `ddnn evaluate --json` prints."""
        return {"run": self.run, "data": self.data, **self.portion.to_json(), "nets": dict(self.nets)}


def evaluate(run: str | os.PathLike[str], config: EvaluateConfig | None = None, **keys: Any) -> Evaluation:
    """Score every net of a run on test images, all nets in one pass.

    Args:
        run: a run directory or a saved network, or what `ddnn.train` returns.
        config: on what; None means the test images of the run's own data.
        keys: fields of `ddnn.EvaluateConfig`, in place of the configuration's, such as `data="folder:pictures"`.

    Returns:
        Accuracies and calibration errors as shares in [0, 1], log-likelihoods in nats; see `Score`.

    Raises:
        ModelFileError: if there is no network, or it is damaged.
        DataError: if the images cannot be read, or are not for this network.
        DDNNError: if it is not known on which data, or a key or value makes no sense.

    Example:
        ```python
        evaluation = ddnn.evaluate("runs/digits", data="parquet:other")
        evaluation.scores["resnet8"].accuracy
        ```
    """
    path, config = path_of(run, "run"), configured(EvaluateConfig, config, keys)
    device = pick_device(config.device)
    network = load(path)
    meant = data_of_run(
        path, config.data, config.data_root, max_corrupt=config.max_corrupt, held_out=DataConfig.validation
    )
    found = replace(meant.unaugmented(config.batch_size, config.workers), max_pixels=config.max_pixels)
    columns = {key: given for key in ("image_column", "label_column") if (given := getattr(config, key)) is not None}
    data = open_images(network, replace(found, **columns), classes_from=config.classes_from, whole=meant.whole)
    scores = evaluate_network(network.to(device), data.test(device))
    portion = data.portion("test", seen=scores[network.names[-1]].images)
    return Evaluation(os.fspath(run), found.data, scores, scores_as_json(network, scores), portion)
