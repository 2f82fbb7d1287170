"""A finished training run: what it gave, how good that is, and where it lies."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import torch

from ddnn.config import TrainConfig
from ddnn.data import Data
from ddnn.data.portion import Portion
from ddnn.distributed.processes import Processes
from ddnn.measuring.evaluation import Score, evaluate, scores_as_json
from ddnn.network import DepthDynamicNetwork
from ddnn.runs import figures
from ddnn.runs.run_directory import RunDirectory


@dataclass(frozen=True)
class Run(os.PathLike[str]):
    """A finished training run. It is the path of its directory, too: `ddnn.evaluate(run)`.

    Args:
        network: the trained network.
        data: what it was trained on.
        directory: what it left behind.
        config: how it was trained.
        seconds: wall time of the training, validation included, of this process, over all calls that the run took.
        device: that this process trained on.
        processes: that trained together.
        scores: of every net on the test images, shallow to deep; empty where it was not to be scored.
        validation: the best, the last and the kept epoch by the validation images; empty where there are none.
    """

    network: DepthDynamicNetwork
    data: Data
    directory: RunDirectory
    config: TrainConfig
    seconds: float
    device: torch.device
    processes: Processes
    scores: Mapping[str, Score] = field(default_factory=dict)
    validation: Mapping[str, Any] = field(default_factory=dict)

    def __fspath__(self) -> str:
        return str(self.directory.path)

    def to_json(self) -> dict[str, Any]:
        """What is in results.json."""
        return {
            "run": str(self.directory.path),
            "seconds": round(self.seconds, 1),
            **({} if self.tested_on is None else self.tested_on.to_json()),
            "trained_on": {name: portion.to_json() for name, portion in self.learnt_from.items()},
            **({"validation": dict(self.validation)} if self.validation else {}),
            "nets": scores_as_json(self.network, self.scores),
        }

    @property
    def tested_on(self) -> Portion | None:
        """On which images the scores stand; None without scores."""
        if not self.scores:
            return None
        seen = self.scores[self.network.names[-1]].images
        return self.data.portion("test", seen, limited=self.config.limit is not None)

    @property
    def learnt_from(self) -> dict[str, Portion]:
        """The images that it was trained on and, where there are such, watched with."""
        names = ("train", "validation") if self.data.has_validation else ("train",)
        return {name: self.data.portion(name) for name in names}


def scored(run: Run) -> Run:
    """The run with scores on the test images, which its first process writes down; all processes must call this."""
    test = islice(run.data.test(run.device, share=run.processes.share), run.config.limit)
    run = replace(run, scores=evaluate(run.network.to(run.device), test, shared=True))
    if run.processes.first:
        figures.write_results(run.directory.results, run.to_json())
    return run
