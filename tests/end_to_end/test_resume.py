"""A run that is killed and resumed ends as if nothing had happened, and one that cannot go on says so."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from safetensors.torch import load_file

from ddnn import DDNNError, TrainConfig, train
from ddnn.run_directory import RunDirectory
from ddnn.training import NonFiniteLossError
from ddnn.training_module import DepthDynamicTraining
from tests.end_to_end.command import refused, run

OPTIONS = ["--epochs", "4", "--train_images", "600", "--augment.erase", "0.5", "--seed", "3"]


def start(output: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ddnn.cli", "train", *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def wait_for_epoch(process: "subprocess.Popen[str]", epoch: int) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(f"epoch {epoch}/"):
            return
    pytest.fail("the run ended before that epoch")


def test_killed_between_two_epochs_and_resumed_it_ends_with_the_same_weights(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    undisturbed = start(whole, *OPTIONS, "--output", str(whole))
    process = start(cut, *OPTIONS, "--output", str(cut))
    wait_for_epoch(process, 3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (cut / "network").exists()
    resumed = start(cut, "--resume", str(cut))
    assert resumed.wait(timeout=120) == 0
    assert undisturbed.wait(timeout=120) == 0

    expected = load_file(whole / "network" / "model.safetensors")
    actual = load_file(cut / "network" / "model.safetensors")
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    drop = {"seconds"}
    rows = [[{k: v for k, v in row.items() if k not in drop} for row in RunDirectory(path).read_metrics()]
            for path in (whole, cut)]  # fmt: skip
    assert rows[0] == rows[1]
    assert len(rows[0]) == 4


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ddnn.objectives import EKD, Loss

    original = EKD.__call__

    def breaks(self: EKD, outputs: object, labels: torch.Tensor, epoch: float = 0.0) -> Loss:
        loss = original(self, outputs, labels, epoch)  # type: ignore[arg-type]
        return Loss(loss.total * (float("nan") if epoch >= 1 else 1.0), loss.parts)

    monkeypatch.setattr(EKD, "__call__", breaks)
    path = tmp_path / "run"
    config = TrainConfig(epochs=3, train_images=200, output=str(path))
    with pytest.raises(NonFiniteLossError, match=r"epoch 2.*last good checkpoint is .*last\.ckpt"):
        train(config, progress=False)
    state = torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)
    assert state["epoch"] == 0
    assert all(bool(torch.isfinite(value).all()) for value in state["state_dict"].values())
    assert not (path / "network").exists()


def test_a_learning_rate_that_is_too_large_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ("--epochs", 3, "--train_images", 200, "--lr", "1e30", "--warmup_epochs", 0)
    message = refused(run(capfd, "train", *options, "--output", tmp_path / "run"))
    assert "not finite in epoch 1" in message
    assert "no epoch was complete" in message


def test_an_overflow_in_the_very_last_update_is_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    options = ("--epochs", 1, "--train_images", 64, "--validation", 0, "--warmup_epochs", 0, "--lr", "1e25")
    message = refused(run(capfd, "train", *options, "--output", tmp_path / "run"))
    assert "the network is not finite in epoch 1" in message
    assert "no epoch was complete" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_that_python_drops_ends_the_run_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupts:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    take = DepthDynamicTraining.training_step
    steps: list[int] = []

    def interrupted(self: DepthDynamicTraining, batch: Any, index: int) -> Any:
        steps.append(index)
        Interrupts()
        return take(self, batch, index)

    monkeypatch.setattr(DepthDynamicTraining, "training_step", interrupted)
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt, match="nothing was kept"):
        train(TrainConfig(epochs=2, train_images=256, output=str(tmp_path / "run")), progress=False)
    assert steps == [0]
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_says_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "cut"
    process = start(path, "--epochs", "50", "--train_images", "600", "--output", str(path))
    wait_for_epoch(process, 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"ddnn train --resume {path}" in errors.strip().splitlines()[-1]
    assert "Traceback" not in errors
    assert (path / "checkpoints" / "last.ckpt").is_file()


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    train(TrainConfig(epochs=1, train_images=200, output=str(path)), progress=False)
    directory = RunDirectory(path)
    text = directory.config_file.read_text()
    directory.config_file.write_text(text.replace("resnet8,resnet14", "resnet8"))
    assert "do not fit" in refused(run(capfd, "train", "--resume", path))
    directory.config_file.write_text(text)
    with ZipFile(directory.last_checkpoint, "w") as archive:
        archive.writestr("notes.txt", "mine")
    assert "is no checkpoint of ddnn train" in refused(run(capfd, "train", "--resume", path))
    torch.save({"weights": torch.zeros(3)}, directory.last_checkpoint)
    assert "is no checkpoint of ddnn train" in refused(run(capfd, "train", "--resume", path))


def test_checkpoints_are_put_in_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(TrainConfig(epochs=2, train_images=200, output=str(path)), progress=False)
    assert [file.name for file in (path / "checkpoints").iterdir()] == ["last.ckpt"]


def test_resume_takes_no_other_key_and_needs_a_checkpoint(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    missing = refused(run(capfd, "train", "--resume", tmp_path / "nowhere"))
    assert "is no run directory" in missing
    RunDirectory(tmp_path / "run").create(TrainConfig())
    assert "no checkpoint to go on from" in refused(run(capfd, "train", "--resume", tmp_path / "run"))
    assert "give no other key" in refused(run(capfd, "train", "--resume", tmp_path / "run", "--epochs", 3))


def test_a_finished_run_resumes_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(TrainConfig(epochs=1, train_images=200, output=str(path)), progress=False)
    before = load_file(path / "network" / "model.safetensors")
    train(TrainConfig(resume=str(path)), progress=False)
    after = load_file(path / "network" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(TrainConfig(epochs=1, train_images=200, output=str(path)), progress=False)
    checkpoint = path / "checkpoints" / "last.ckpt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(DDNNError, match=r"last\.ckpt is damaged"):
        train(TrainConfig(resume=str(path)), progress=False)
