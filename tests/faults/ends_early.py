"""Trains under torchrun until one process has a reason to end, and leaves how each one ended.

Arguments: a file of `TrainConfig`'s fields as JSON; a folder, which gets RANK.json; and what happens.
"""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from ddnn import DDNNError, TrainConfig, train
from ddnn.config import from_fields
from ddnn.distributed.processes import find_processes
from ddnn.training import setup
from ddnn.training.module import DepthDynamicTraining


def _before(owner: Any, name: str, do: Any) -> None:
    original = getattr(owner, name)

    def called(*arguments: Any, **options: Any) -> Any:
        return original(*do(*arguments), **options)

    setattr(owner, name, called)


def _signalled(*arguments: Any) -> tuple[Any, ...]:
    signal.raise_signal(signal.SIGTERM)
    return arguments


def _spoilt(module: DepthDynamicTraining, batch: Any, index: int) -> tuple[Any, ...]:
    images, labels = batch
    return module, (images * (float("nan") if module.current_epoch == 1 else 1.0), labels), index


def main(fields: Path, folder: Path, what: str) -> None:
    rank = find_processes().rank
    if what == "sigterm while data is opened":  # of all: a cluster sends it to all processes
        _before(setup, "open_data", _signalled)
    elif what == "sigterm in validation" and rank == 1:
        _before(DepthDynamicTraining, "on_validation_epoch_end", _signalled_once())
    elif what == "nan" and rank == 1:
        _before(DepthDynamicTraining, "training_step", _spoilt)
    end = {"status": 0, "message": ""}
    try:
        train(from_fields(TrainConfig, json.loads(fields.read_text())), progress=False)
    except DDNNError as error:
        end = {"status": error.status, "message": str(error)}
    except SystemExit as error:
        end = {"status": error.code, "message": ""}
    (folder / f"{rank}.json").write_text(json.dumps(end))


def _signalled_once() -> Any:
    sent: list[bool] = []

    def once(*arguments: Any) -> tuple[Any, ...]:
        if not sent:
            sent.append(True)
            signal.raise_signal(signal.SIGTERM)
        return arguments

    return once


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
