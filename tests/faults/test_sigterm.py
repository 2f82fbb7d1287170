"""SIGTERM at moments when no step runs: while the data is opened, before the first step, and in validation."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningModule
from safetensors.torch import load_file

from ddnn import TrainConfig, train
from ddnn.runs.run_directory import RunDirectory
from ddnn.training import setup
from ddnn.training.interrupts import Terminated
from ddnn.training.module import DepthDynamicTraining
from tests.distributed.launcher import in_processes
from tests.end_to_end.command import refused, run
from tests.faults.pictures import write_folder

CONFIG: dict[str, Any] = {
    "full": "resnet14", "subnets": "resnet8", "epochs": 3, "train_images": 120, "batch_size": 24, "ema": 0.9,
    "device": "cpu",
}  # fmt: skip


def signalled_in(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int = 1) -> list[int]:
    """Send this process a SIGTERM in a call of a function; gives the numbers of its calls, as they come."""
    original, calls = getattr(owner, name), []

    def signalled(*arguments: Any, **options: Any) -> Any:
        calls.append(len(calls) + 1)
        if calls[-1] == call:
            signal.raise_signal(signal.SIGTERM)
        return original(*arguments, **options)

    monkeypatch.setattr(owner, name, signalled, raising=False)
    return calls


EARLY: dict[str, tuple[Any, str]] = {
    "the data is opened": (setup, "open_data"),
    "the network is built": (setup, "build"),
    "Lightning prepares": (LightningModule, "setup"),
    "Lightning takes the loader": (DepthDynamicTraining, "train_dataloader"),
}


@pytest.mark.parametrize("moment", EARLY)
def test_before_the_first_step_it_ends_a_run_on_the_spot_and_leaves_nothing(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    signalled_in(monkeypatch, *EARLY[moment])
    steps = signalled_in(monkeypatch, DepthDynamicTraining, "training_step", call=-1)
    options = [word for key, value in CONFIG.items() for word in (f"--{key}", value)]
    message = refused(run(capfd, "train", *options, "--output", tmp_path / "run"), status=143)
    assert "ended by SIGTERM before the first step; " in message
    assert "nothing was kept" in message
    assert not steps
    assert not (tmp_path / "run").exists()
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_exit_that_python_drops_ends_the_run_before_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: Callable[..., Any] = setup.open_data

    def dropped(*arguments: Any, **options: Any) -> Any:
        try:
            signal.raise_signal(signal.SIGTERM)
        except SystemExit:  # as in an object's __del__
            return opened(*arguments, **options)

    monkeypatch.setattr(setup, "open_data", dropped)
    steps = signalled_in(monkeypatch, DepthDynamicTraining, "training_step", call=-1)
    with pytest.raises(Terminated, match="before the first step"):
        train(TrainConfig(**CONFIG, output=str(tmp_path / "run")), progress=False)
    assert not steps


@pytest.mark.parametrize("epoch", [1, 2])
def test_in_validation_the_epoch_is_finished_and_saved_and_the_run_goes_on_to_the_same_weights(
    epoch: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "cut", tmp_path / "whole"
    config = {**CONFIG, "validation": 0.5, "batch_size": 12}  # five batches of validation
    with monkeypatch.context() as patch:
        batches = signalled_in(patch, DepthDynamicTraining, "validation_step", call=5 * (epoch - 1) + 2)
        with pytest.raises(Terminated, match=f"after a whole epoch, which is saved; .*go on with: .*--resume {path}"):
            train(TrainConfig(**config, output=str(path)), progress=False)
    assert len(batches) == 5 * epoch  # whole validations
    assert len(RunDirectory(path).read_metrics()) == epoch
    train(TrainConfig(resume=str(path)), progress=False)
    train(TrainConfig(**config, output=str(whole)), progress=False)
    cut, uncut = (load_file(folder / "network" / "model.safetensors") for folder in (path, whole))
    assert all(torch.equal(cut[name], uncut[name]) for name in uncut)
    assert _without_times(path) == _without_times(whole)


def test_in_the_last_validation_the_run_ends_as_it_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    signalled_in(monkeypatch, DepthDynamicTraining, "validation_step")
    train(TrainConfig(**{**CONFIG, "epochs": 1}, output=str(tmp_path / "run")), progress=False)
    assert (tmp_path / "run" / "network" / "config.json").is_file()


def test_a_signal_to_a_run_and_its_workers_ends_it_after_the_step(tmp_path: Path) -> None:
    data, path = write_folder(tmp_path / "data", side=72), tmp_path / "run"
    options = ["--data", data, "--full", "resnet14", "--subnets", "resnet8", "--epochs", "400", "--workers", "1"]
    command = [sys.executable, "-m", "ddnn", "train", *options, "--device", "cpu", "--output", str(path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    next(line for line in process.stderr if line.startswith("epoch 1/"))
    os.killpg(process.pid, signal.SIGTERM)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "Traceback" not in errors
    assert f"is saved; the last good checkpoint is {path}" in errors


@pytest.mark.slow
@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        ("sigterm in validation", 143, "ended by SIGTERM after a whole epoch"),
        ("sigterm while data is opened", 143, "ended by SIGTERM before the first step"),
        ("nan", 1, "is not finite in epoch 2"),
    ],
)
def test_all_processes_end_where_one_of_them_has_a_reason(what: str, status: int, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run"
    fields = {**CONFIG, "output": str(path), "objective": "joint", "checkpoint_steps": 1}
    (tmp_path / "fields.json").write_text(json.dumps(fields))
    in_processes(2, "tests.faults.ends_early", tmp_path / "fields.json", tmp_path, what)
    ends = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert [end["status"] for end in ends] == [status, status]
    assert message in ends[0]["message"]
    if what == "sigterm while data is opened":
        assert not path.exists()
        return
    state = torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(bool(value.isfinite().all()) for value in state["state_dict"].values())
    assert len(RunDirectory(path).read_metrics()) == 1


def _without_times(path: Path) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in RunDirectory(path).read_metrics()]
