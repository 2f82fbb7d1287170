"""A run that is killed and resumed ends as if nothing had happened, and one that cannot go on says so."""

import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch
from safetensors.torch import load_file

from ddnn import DDNNError, TrainConfig, train
from ddnn.runs.run_directory import RunDirectory
from ddnn.training import NonFiniteLossError
from ddnn.training.module import DepthDynamicTraining
from tests.end_to_end.command import refused, run
from tests.processes import Launched, completed

OPTIONS = ["--epochs", "4", "--train_images", "600", "--augment.erase", "0.5", "--seed", "3"]


def start(output: Path, *options: str) -> Launched:
    return Launched("-m", "ddnn", "train", *options, env={**os.environ, "OMP_NUM_THREADS": "1"})


def wait_for_epoch(process: Launched, epoch: int) -> None:
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


def test_fewer_epochs_than_the_run_has_come_to_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    train(TrainConfig(epochs=3, train_images=64, output=str(path)), progress=False)
    config = RunDirectory(path).config_file
    text = config.read_text()
    for fewer in (1, 2):
        config.write_text(text.replace("epochs: 3", f"epochs: {fewer}"))
        message = refused(run(capfd, "train", "--resume", path))
        assert f"has epochs: {fewer}, and the run has come to epoch 3; restore" in message


def test_checkpoints_are_put_in_place_whole(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(TrainConfig(epochs=3, train_images=200, checkpoint_steps=1, output=str(path)), progress=False)
    assert sorted(file.name for file in (path / "checkpoints").iterdir()) == ["last-1.ckpt", "last.ckpt"]


def test_not_every_epoch_need_be_saved(tmp_path: Path) -> None:
    config = TrainConfig(full="resnet8", subnets="", objective="joint", epochs=5, train_images=100, keep_checkpoints=9)
    network = {}
    for every, saved in ((1, 5), (2, 3)):
        path = tmp_path / f"every-{every}"
        train(replace(config, checkpoint_epochs=every, output=str(path)), progress=False)
        assert len(list((path / "checkpoints").iterdir())) == saved
        network[every] = load_file(path / "network" / "model.safetensors")
    assert all(torch.equal(network[1][name], network[2][name]) for name in network[1])
    with pytest.raises(DDNNError, match="checkpoint_epochs must be at least 1, not 0"):
        replace(config, checkpoint_epochs=0)


def test_resume_takes_no_key_that_cannot_change_and_needs_a_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    missing = refused(run(capfd, "train", "--resume", tmp_path / "nowhere"))
    assert "is no run directory" in missing
    RunDirectory(tmp_path / "run").create(TrainConfig())
    message = refused(run(capfd, "train", "--resume", tmp_path / "run", "--seed", 3))
    assert "where seed is 0; in the middle of a run only epochs, lr, " in message


def test_a_finished_run_resumes_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(TrainConfig(epochs=1, train_images=200, output=str(path)), progress=False)
    before = load_file(path / "network" / "model.safetensors")
    train(TrainConfig(resume=str(path)), progress=False)
    after = load_file(path / "network" / "model.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_run_that_came_to_no_checkpoint_begins_again(tmp_path: Path) -> None:
    config = TrainConfig(epochs=1, train_images=200)
    RunDirectory(tmp_path / "begun").create(config)
    train(TrainConfig(resume=str(tmp_path / "begun")), progress=False)
    train(replace(config, output=str(tmp_path / "whole")), progress=False)
    begun, whole = (load_file(tmp_path / name / "network" / "model.safetensors") for name in ("begun", "whole"))
    assert all(torch.equal(begun[name], whole[name]) for name in whole)


def test_where_the_last_checkpoint_is_damaged_the_one_before_is_taken_and_that_is_said(tmp_path: Path) -> None:
    config = TrainConfig(epochs=2, train_images=200, full="resnet14", subnets="resnet8")
    path, whole = tmp_path / "run", tmp_path / "whole"
    train(replace(config, output=str(path)), progress=False)
    shutil.copytree(path, whole)
    checkpoint = path / "checkpoints" / "last.ckpt"
    content = bytearray(checkpoint.read_bytes())
    content[len(content) // 2] ^= 4
    checkpoint.write_bytes(content)
    with pytest.warns(UserWarning, match=r"last\.ckpt is damaged; going on from the one before, last-1\.ckpt"):
        train(TrainConfig(resume=str(path)), progress=False)
    after, expected = (load_file(folder / "network" / "model.safetensors") for folder in (path, whole))
    assert all(torch.equal(after[name], expected[name]) for name in expected)


def test_damaged_checkpoints_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "run"
    train(TrainConfig(epochs=2, train_images=200, output=str(path)), progress=False)
    for checkpoint in (path / "checkpoints").iterdir():
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(DDNNError, match=r"last\.ckpt and last-1\.ckpt is damaged"):
        train(TrainConfig(resume=str(path)), progress=False)


def test_sigterm_saves_the_step_and_ends_and_the_run_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    options = ["--epochs", "3", "--train_images", "600", "--ema", "0.9", "--subnets", "resnet8", "--full", "resnet14"]
    path, whole = tmp_path / "cut", tmp_path / "whole"
    process = start(path, *options, "--output", str(path))
    wait_for_epoch(process, 1)
    process.terminate()
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 143
    (message,) = [line for line in errors.splitlines() if line.startswith("ddnn: error: ended by SIGTERM")]
    assert message.endswith(f"go on with: ddnn train --resume {path}")
    assert "Traceback" not in errors
    assert start(path, "--resume", str(path)).wait(timeout=120) == 0
    assert start(whole, *options, "--output", str(whole)).wait(timeout=120) == 0
    cut, uncut = (load_file(folder / "network" / "model.safetensors") for folder in (path, whole))
    assert all(torch.equal(cut[name], uncut[name]) for name in uncut)


def test_a_second_sigterm_ends_the_process_at_once() -> None:
    script = "import os, signal\nfrom ddnn.training.interrupts import Termination\n"
    script += "termination = Termination(); termination.begin_steps(); note = termination.note\n"
    script += "signal.signal(signal.SIGTERM, note); os.kill(os.getpid(), 15); print('on', flush=True)\n"
    script += "os.kill(os.getpid(), 15); print('still on', flush=True)"
    done = completed("-c", script)
    assert (done.returncode, done.stdout) == (143, "on\n")


def test_too_little_room_or_no_permission_is_found_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(dir: Path) -> None:
        raise PermissionError(13, "Permission denied", str(dir))

    usage = shutil.disk_usage(tmp_path)._replace(free=1_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage)
        message = refused(run(capfd, "train", "--output", tmp_path / "run"))
    assert "has 1 MB left, and the run needs about" in message
    with monkeypatch.context() as patch:
        patch.setattr("tempfile.TemporaryFile", refuse)
        assert "cannot be written to" in refused(run(capfd, "train", "--output", tmp_path / "run"))
    assert not (tmp_path / "run").exists()
