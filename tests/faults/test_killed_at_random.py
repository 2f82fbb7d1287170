"""Runs that are killed at random moments, and resumed, end with the weights of one that was left alone."""

import csv
import multiprocessing
import os
import random
import signal
import time
from collections import Counter
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ddnn import TrainConfig, train
from ddnn.runs.run_directory import RunDirectory
from tests.repeats import environment_number

CONFIG = TrainConfig(
    full="resnet14", subnets="resnet8", epochs=3, train_images=240, batch_size=24, ema=0.9, checkpoint_steps=2,
    device="cpu",
)  # fmt: skip
MOST_KILLS_OF_A_RUN = 4


def _train(path: Path) -> None:
    """Begin the run in that folder, or go on with it, as a person would."""
    os.chdir(path.parent)
    torch.set_num_threads(1)
    begun = RunDirectory(path).config_file.exists()
    train(TrainConfig(resume=str(path)) if begun else replace(CONFIG, output=str(path)), progress=False)


class Runs:
    """Starts processes that have imported everything already, so that a kill lands in what they do."""

    def __init__(self) -> None:
        self._context: ForkServerContext = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["ddnn.training", __name__])

    def to_the_end(self, path: Path) -> float:
        """Seconds that it took."""
        began = time.monotonic()
        process = self._context.Process(target=_train, args=(path,))
        process.start()
        process.join()
        assert process.exitcode == 0
        return time.monotonic() - began

    def killed_after(self, path: Path, seconds: float) -> bool:
        """Whether it was killed; else it had ended before."""
        process = self._context.Process(target=_train, args=(path,))
        process.start()
        process.join(seconds)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL)
        return process.exitcode != 0


def _moment(path: Path) -> str:
    """What a killed run has left."""
    directory = RunDirectory(path)
    if not directory.config_file.exists():
        return "before it began"
    if list(directory.checkpoints.glob("*.partial")) if directory.checkpoints.exists() else []:
        return "while a checkpoint was written"
    if not directory.last_checkpoint.exists():
        return "before the first checkpoint"
    if directory.network.exists():
        return "while the network was written, or after"
    return f"in epoch {len(directory.read_metrics()) + 1}"


def _losses(path: Path) -> list[dict[str, str]]:
    with RunDirectory(path).metrics.open(newline="") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


@pytest.mark.parametrize("kills", [4, pytest.param(environment_number("DDNN_KILLS", 50), marks=pytest.mark.slow)])
def test_every_run_ends_as_the_one_that_was_left_alone(kills: int, tmp_path: Path) -> None:
    seed = environment_number("DDNN_SEED", random.SystemRandom().randrange(10**6))
    chance, runs, moments = random.Random(seed), Runs(), Counter[str]()
    whole = tmp_path / "whole"
    runs.to_the_end(tmp_path / "first")  # starts the server
    seconds = runs.to_the_end(whole)
    expected = load_file(whole / "network" / "model.safetensors")
    number = 0
    while moments.total() < kills:
        number += 1
        path = tmp_path / f"run{number}"
        for _ in range(chance.randint(1, MOST_KILLS_OF_A_RUN)):
            if runs.killed_after(path, chance.uniform(0.2, 1.05) * seconds):
                moments[_moment(path)] += 1
        runs.to_the_end(path)
        actual = load_file(path / "network" / "model.safetensors")
        assert actual.keys() == expected.keys()
        wrong = [name for name in expected if not torch.equal(actual[name], expected[name])]
        assert not wrong, f"seed {seed}, run {number}: {wrong[:3]}"
        assert _losses(path) == _losses(whole), f"seed {seed}, run {number}"
    print(f"\n{moments.total()} kills of {number} runs, seed {seed}: {dict(moments)}")
