"""Whole runs by the faster ways to train: on some of the sub-nets, compiled, in another precision or memory format."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jaxtyping
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch._dynamo.testing import CompileCounter

from ddnn import EKDConfig, TrainConfig, train
from ddnn.network import DepthDynamicNetwork
from ddnn.objectives import Loss
from ddnn.runs.run_directory import RunDirectory
from ddnn.training.averaged_teacher import AveragedTeacher
from ddnn.training.module import DepthDynamicTraining
from ddnn.training.step import TrainingStep
from tests.end_to_end.command import Result, refused, run

SUBNETS = {"resnet8": [1, 1, 1], "middle": [1, 2, 1], "resnet14": [2, 2, 2]}
CONFIG = TrainConfig(subnets=SUBNETS, epochs=2, train_images=300, batch_size=32)
DRAWING = replace(CONFIG, subnets_per_step=1)


def weights(path: Path) -> dict[str, Tensor]:
    return load_file(path / "network" / "model.safetensors")


def losses(path: Path) -> list[dict[str, str]]:
    keep = ("train/", "accuracy/")
    return [{key: row[key] for key in row if key.startswith(keep)} for row in RunDirectory(path).read_metrics()]


def whole_and_cut(config: TrainConfig, folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """The same run twice: undisturbed, and broken off in the second epoch, then resumed."""
    whole, cut = folder / "whole", folder / "cut"
    train(replace(config, output=str(whole)), progress=False)
    begin = DepthDynamicTraining.training_step

    def breaks(self: DepthDynamicTraining, batch: Any, index: int) -> Tensor:
        if (self.current_epoch, index) == (1, 2):
            raise RuntimeError("broken off")
        return begin(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(DepthDynamicTraining, "training_step", breaks)
        with pytest.raises(RuntimeError, match="broken off"):
            train(replace(config, output=str(cut)), progress=False)
    train(TrainConfig(resume=str(cut)), progress=False)
    return whole, cut


def test_activation_checkpointing_changes_nothing_but_memory(tmp_path: Path) -> None:
    for folder, recompute in (("plain", False), ("recomputed", True)):
        train(replace(CONFIG, activation_checkpointing=recompute, output=str(tmp_path / folder)), progress=False)
    expected, actual = weights(tmp_path / "plain"), weights(tmp_path / "recomputed")
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


@pytest.mark.parametrize(
    "changes",
    [
        {"subnets_per_step": 1},
        {"alternate": True, "fork_gradients": "mean", "zero_init": True},
        {"channels_last": True, "optimizer": "adamw"},
        {"objective": "cooperative"},  # with a second network's state
        {"objective": "sampled"},
        {
            "subnets_from": 0.55, "subnets_ramp": 0.2, "ema": 0.9, "checkpoint_steps": 1, "private_norms": True,
            "ekd": EKDConfig(alpha=1.0, beta=0.0, teacher="average", teach_full=False, memory=2.0),
        },
    ],
)  # fmt: skip
def test_a_run_that_was_cut_ends_with_the_same_weights(
    changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, cut = whole_and_cut(replace(CONFIG, **changes), tmp_path, monkeypatch)
    expected, actual = weights(whole), weights(cut)
    assert expected.keys() == actual.keys()
    assert all(torch.equal(expected[name], actual[name]) for name in expected)
    assert losses(whole) == losses(cut)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[str, ...], Loss]]:
    """The nets and the loss of each step that is taken from now on."""
    taken: list[tuple[tuple[str, ...], Loss]] = []
    real = TrainingStep.__call__

    def note(
        self: TrainingStep, images: Tensor, labels: Tensor, epoch: Tensor, names: tuple[str, ...], *more: Any
    ) -> Loss:
        taken.append((names, real(self, images, labels, epoch, names, *more)))
        return taken[-1][1]

    monkeypatch.setattr(TrainingStep, "__call__", note)
    return taken


def test_each_part_is_logged_over_the_steps_that_had_it(
    tmp_path: Path, steps: list[tuple[tuple[str, ...], Loss]]
) -> None:
    train(replace(DRAWING, output=str(tmp_path / "run")), progress=False)
    rows = losses(tmp_path / "run")
    per_epoch = len(steps) // 2
    assert {names for names, _ in steps} == {(name, "resnet20") for name in SUBNETS}
    for row, taken in zip(rows, (steps[:per_epoch], steps[per_epoch:]), strict=True):
        assert float(row["train/loss"]) == pytest.approx(sum(loss.total.item() for _, loss in taken) / per_epoch)
        for name in SUBNETS:
            own = [loss.parts[f"ce/{name}"].item() for names, loss in taken if name in names]
            assert float(row[f"train/ce/{name}"]) == pytest.approx(sum(own) / len(own))
        assert all(math.isfinite(float(row[f"accuracy/{name}"])) for name in (*SUBNETS, "resnet20"))


def test_a_net_that_no_step_has_drawn_has_no_part_in_that_epoch(tmp_path: Path) -> None:
    config = replace(DRAWING, epochs=3, train_images=64, batch_size=64, validation=0.0)
    train(replace(config, output=str(tmp_path / "run")), progress=False)
    rows = losses(tmp_path / "run")
    drawn = [{name for name in SUBNETS if row.get(f"train/ce/{name}")} for row in rows]
    assert [len(names) for names in drawn] == [1, 1, 1]
    assert len(set.union(*drawn)) > 1, "the test needs a seed that draws different nets"
    assert all(row["train/ce/resnet20"] for row in rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--subnets_per_step", 0], "at least 1 and at most the number of sub-nets, 2, not 0"),
        (["--subnets_per_step", -1], "at least 1 and at most the number of sub-nets, 2, not -1"),
        (["--subnets_per_step", 3], "at least 1 and at most the number of sub-nets, 2, not 3"),
        (["--subnets_from", 0.99, "--epochs", 1], "subnets_from 0.99 leaves sub-nets none of the"),
        (["--subnets_per_step", 1, "--subnets", ""], "the number of sub-nets, 0, not 1"),
    ],
)
def test_train_refuses(options: list[object], message: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert message in refused(run(capfd, "train", *options, "--output", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_activation_checkpointing_is_refused_before_anything_is_written_where_there_are_no_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(DepthDynamicNetwork, "shares_prefix", property(lambda _: False))
    result = run(capfd, "train", "--activation_checkpointing", "true", "--output", tmp_path / "run")
    assert "activation_checkpointing is not possible for resnet20" in refused(result)
    assert not (tmp_path / "run").exists()


def test_compiling_without_a_compiler_is_told(tmp_path: Path) -> None:
    options = ["--full", "resnet8", "--subnets", "", "--objective", "joint", "--train_images", "100"]
    command = [sys.executable, "-m", "ddnn.cli", "train", "--compile", "true", *options]
    nowhere = {**os.environ, "CXX": str(tmp_path / "nowhere"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    done = subprocess.run([*command, "--output", str(tmp_path / "run")], env=nowhere, capture_output=True, text=True)
    message = refused(Result(done.returncode, done.stdout, done.stderr.splitlines()[-1]))
    assert "--compile needs a C++ compiler" in message
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> CompileCounter:
    """Has torch compile without a code generator, in one graph or not at all; counts the graphs."""
    real: Callable[..., Any] = torch.compile
    counter = CompileCounter()
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checks in tests alone; they cannot be compiled
    monkeypatch.setattr(
        torch, "compile", lambda function, mode, **options: real(function, backend=counter, fullgraph=True, **options)
    )
    return counter


def test_sub_nets_begin_at_their_share_of_the_epochs(tmp_path: Path, steps: list[tuple[tuple[str, ...], Loss]]) -> None:
    network = train(replace(CONFIG, subnets_from=0.5, output=str(tmp_path / "run")), progress=False).network
    names = [names for names, _ in steps]
    per_epoch = len(names) // 2
    assert names == [("resnet20",)] * per_epoch + [network.names] * per_epoch
    first, second = losses(tmp_path / "run")
    assert not any(first[f"train/ce/{name}"] for name in SUBNETS)
    assert all(float(second[f"train/ce/{name}"]) for name in SUBNETS)
    tracked = {
        name: int(network[name].get_buffer("layer3.0.bn1.num_batches_tracked")) for name in ("resnet8", "resnet20")
    }
    assert tracked == {"resnet8": per_epoch, "resnet20": 2 * per_epoch}


def test_the_average_has_the_memory_that_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decays: list[float] = []
    monkeypatch.setattr(AveragedTeacher, "update", lambda self, _network, _steps: decays.append(self.decay))
    config = replace(CONFIG, ekd=EKDConfig(teacher="average", memory=2.0), accumulate=2, epochs=1)
    train(replace(config, output=str(tmp_path / "run")), progress=False)
    assert set(decays) == {1 - 1 / (2 * len(decays))}


@pytest.mark.parametrize(
    "options", [{}, {"subnets_per_step": 1}, {"subnets_from": 0.5}, {"precision": "bf16-mixed", "channels_last": True}]
)
def test_a_compiled_run_compiles_each_program_once_and_learns_as_the_plain_one(
    options: dict[str, Any], tmp_path: Path, compiler: CompileCounter
) -> None:
    # At the default learning rate so few steps diverge, and with them what differs by rounding alone.
    config = replace(CONFIG, train_images=200, lr=0.01, ekd=EKDConfig(ramp_epochs=3.0), **options)
    train(replace(config, output=str(tmp_path / "plain")), progress=False)
    assert compiler.frame_count == 0
    train(replace(config, compile=True, output=str(tmp_path / "compiled")), progress=False)
    assert compiler.frame_count == {"subnets_per_step": 3, "subnets_from": 2}.get(next(iter(options), ""), 1)
    compiled, plain = (float(losses(tmp_path / name)[0]["train/loss"]) for name in ("compiled", "plain"))
    assert compiled == pytest.approx(plain, rel=2e-2 if "precision" in options else 1e-4)  # rounding adds up


@pytest.mark.parametrize(
    ("options", "tolerance"),
    [({"channels_last": True}, 1e-5), ({"precision": "bf16-mixed"}, 2e-2),
     ({"precision": "bf16-mixed", "channels_last": True}, 2e-2)],
)  # fmt: skip
def test_the_first_loss_is_the_plain_one_s_in_another_precision_or_format(
    options: dict[str, Any], tolerance: float, tmp_path: Path
) -> None:
    config = replace(CONFIG, epochs=1, train_images=64, batch_size=64, validation=0.0)  # one step
    train(replace(config, output=str(tmp_path / "plain")), progress=False)
    trained = train(replace(config, **options, output=str(tmp_path / "fast")), progress=False)
    (plain,), (fast,) = losses(tmp_path / "plain"), losses(tmp_path / "fast")
    for name in plain:
        # What is small, or a ratio of small numbers, varies more from processor to processor.
        relative = tolerance if name == "train/loss" or "/ce/" in name else 10 * tolerance
        assert float(fast[name]) == pytest.approx(float(plain[name]), rel=relative, abs=tolerance), name
    assert all(parameter.is_contiguous() for parameter in trained.network.parameters())
    assert all(parameter.dtype == torch.float32 for parameter in trained.network.parameters())


def test_channels_last_keeps_what_is_shared(tmp_path: Path) -> None:
    config = replace(CONFIG, epochs=1, train_images=64, batch_size=64, channels_last=True)
    network = train(replace(config, output=str(tmp_path / "run")), progress=False).network
    own = {id(parameter) for parameter in network["resnet20"].parameters()}
    assert all(id(parameter) in own for name in network.names for parameter in network[name].parameters())
