"""A disk that fills up ends a command with one message; what is whole stays whole, and the run goes on afterwards."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils.tensorboard import SummaryWriter

import ddnn
from ddnn import DepthDynamicNetwork
from ddnn.network.storage import is_whole_checkpoint
from ddnn.runs.run_directory import RunDirectory
from ddnn.training.module import DepthDynamicTraining
from tests.end_to_end.command import refused, run
from tests.faults.small_disk import SmallDisk, mounted

OPTIONS = ("--full", "resnet14", "--subnets", "resnet8", "--epochs", 3, "--train_images", 240, "--batch_size", 24,
           "--checkpoint_steps", 2, "--ema", 0.9, "--device", "cpu")  # fmt: skip
STEP_OF_EPOCH_2 = 12


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with mounted(tmp_path / "disk") as small:
        yield small


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, torch.Tensor]:
    """The weights of a run that had room enough."""
    path = tmp_path_factory.mktemp("whole") / "run"
    config = {str(key).removeprefix("--"): value for key, value in zip(OPTIONS[::2], OPTIONS[1::2], strict=True)}
    ddnn.train(ddnn.TrainConfig(**config, output=str(path)), progress=False)
    return load_file(path / "network" / "model.safetensors")


def before(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, call: int, do: Callable[[], None]) -> None:
    """Do something before the call of that number."""
    original, calls = getattr(owner, method), []

    def called(*arguments: Any, **options: Any) -> Any:
        calls.append(method)
        if len(calls) == call:
            do()
        return original(*arguments, **options)

    monkeypatch.setattr(owner, method, called)


MOMENTS: dict[str, tuple[type, str, int, int]] = {
    "a checkpoint, nothing left": (DepthDynamicTraining, "training_step", STEP_OF_EPOCH_2, 0),
    "a checkpoint, some of it fits": (DepthDynamicTraining, "training_step", STEP_OF_EPOCH_2, 200_000),
    "a checkpoint, all but its end fits": (DepthDynamicTraining, "training_step", STEP_OF_EPOCH_2, 2_400_000),
    "metrics.csv": (RunDirectory, "append_metrics", 2, 0),
    "the network, nothing left": (DepthDynamicNetwork, "save", 1, 0),
    "the network, some of it fits": (DepthDynamicNetwork, "save", 1, 100_000),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_ends_with_a_message_and_goes_on_once_there_is_room(
    moment: str, disk: SmallDisk, whole: dict[str, torch.Tensor], monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    owner, method, call, leave = MOMENTS[moment]
    path = disk.path / "run"
    with monkeypatch.context() as patch:
        before(patch, owner, method, call, lambda: disk.fill(leave))
        result = run(capfd, "train", *OPTIONS, "--output", path)
    lines = [line for line in result.err.splitlines() if not line.startswith("epoch ")]
    assert result.status == 1, result.err
    assert len(lines) == 1, result.err
    assert lines[0].startswith(f"ddnn: error: {path}")
    assert "No space left on device; the last good checkpoint is" in lines[0]
    assert lines[0].endswith(f"go on with: ddnn train --resume {path}")
    kept = {"config.yaml", "metrics.csv", "tensorboard/hparams.yaml"}
    kept |= {"checkpoints/last.ckpt", "checkpoints/last-1.ckpt"}
    assert disk.files() == {f"run/{name}" for name in kept}
    assert is_whole_checkpoint(path / "checkpoints" / "last.ckpt")

    disk.clear()
    assert run(capfd, "train", "--resume", path).status == 0
    resumed = load_file(path / "network" / "model.safetensors")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
    assert [row["epoch"] for row in RunDirectory(path).read_metrics()] == ["1", "2", "3"]


def test_events_that_cannot_be_written_do_not_hide_what_is_wrong(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """TensorBoard's are written at the end, by a thread of its own."""
    add = SummaryWriter.add_scalar

    def many(self: SummaryWriter, tag: str, *rest: Any, **options: Any) -> None:
        for number in range(50):
            add(self, f"{tag}/{number}", *rest, **options)

    monkeypatch.setattr(SummaryWriter, "add_scalar", many)
    before(monkeypatch, DepthDynamicTraining, "training_step", STEP_OF_EPOCH_2, disk.fill)
    result = run(capfd, "train", *OPTIONS, "--output", disk.path / "run")
    lines = [line for line in result.err.splitlines() if not line.startswith("epoch ")]
    assert result.status == 1
    assert len(lines) == 1, result.err
    assert "No space left on device" in lines[0]


def test_a_trained_run_exports_extracts_and_scores_or_leaves_nothing_half_written(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path, output = disk.path / "run", disk.path / "output"
    assert run(capfd, "train", *OPTIONS, "--output", path).status == 0
    there = disk.files()
    for leave in (0, 600_000):
        disk.fill(leave)
        for command in (("export", path), ("export", path, "--format", "torch"), ("extract", path)):
            result = run(capfd, *command, "--output", output)
            lines = [line for line in result.err.splitlines() if not line.startswith(("exporting", "comparing"))]
            assert (result.status, len(lines)) == (1, 1), (command, leave, result)
            assert "No space left on device" in lines[0], (command, leave, result.err)
            assert disk.files() == there, (command, leave)
            assert not output.exists()
        disk.clear()
    assert run(capfd, "evaluate", path).status == 0


def test_a_folder_that_cannot_be_written_to_is_found_out_before_the_first_step(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    disk.make_read_only()
    monkeypatch.delattr(DepthDynamicTraining, "training_step")
    message = refused(run(capfd, "train", *OPTIONS, "--output", disk.path / "run"))
    assert f"{disk.path} cannot be written to (Read-only file system)" in message
    assert not disk.files()
