"""Our steps are Lightning's steps: the same weights, scores and checkpoints, bit for bit."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Trainer
from safetensors.torch import load_file

import ddnn
from ddnn.config import AugmentConfig, EKDConfig
from ddnn.runs.run_directory import RunDirectory
from ddnn.training.epoch_loop import EpochLoop, shorten_steps

TRAIN = import_module("ddnn.training.train")
RUNS: Mapping[str, Mapping[str, Any]] = {
    "default": {"augment": AugmentConfig(erase=0.5), "validation": 0.1},
    "in parts, clipped": {"accumulate": 2, "clip": 0.5, "ema": 0.9, "optimizer": "adamw"},
    "limited, in turn": {"limit": 3, "alternate": True, "validation": 0.1},
    "bfloat16": {"precision": "bf16-mixed", "channels_last": True, "clip": 1.0, "ekd": EKDConfig(1.0, 0.0, 1.0)},
}


def trained(path: Path, **options: Any) -> tuple[Any, Any, list[dict[str, Any]]]:
    """Weights, scores, and what checkpoints have, of a run that saves in the middle of an epoch too."""
    fixed: Any = {"full": "resnet14", "subnets": "resnet8", "epochs": 2, "batch_size": 8, "device": "cpu"}
    fixed |= {"train_images": 48, "validation": 0.0, "checkpoint_steps": 2, "keep_checkpoints": 9, "seed": 1}
    ddnn.train(ddnn.TrainConfig(**{**fixed, **options}, output=str(path)), progress=False)
    rows = [{name: row[name] for name in row if name != "seconds"} for row in RunDirectory(path).read_metrics()]
    saved = [torch.load(file, weights_only=True) for file in sorted((path / "checkpoints").iterdir())]
    for checkpoint in saved:
        checkpoint.get("ddnn_epoch", {}).pop("seconds", None)
        checkpoint["callbacks"] = {
            name: state for name, state in checkpoint["callbacks"].items() if "Clock" not in name
        }
    return load_file(path / "network" / "model.safetensors"), rows, saved


def same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS.keys())
def test_a_run_is_what_it_is_with_lightnings_own_steps(
    options: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loops: list[type] = []

    def noted(trainer: Trainer) -> None:
        shorten_steps(trainer)
        loops.append(type(trainer.fit_loop.epoch_loop))

    monkeypatch.setattr(TRAIN, "shorten_steps", noted)
    ours = trained(tmp_path / "ours", **options)
    monkeypatch.setattr(TRAIN, "shorten_steps", lambda trainer: loops.append(type(trainer.fit_loop.epoch_loop)))
    assert same(ours, trained(tmp_path / "lightnings", **options))
    assert len(ours[2]) > 2
    assert loops[0] is EpochLoop
    assert loops[1] is not EpochLoop


@pytest.mark.parametrize("clip", [None, 1.0])
def test_scaled_gradients_are_scaled_as_lightning_does(
    clip: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """float16 wants a GPU, but its scaler does not; one that is so large that it must be halved in some steps."""
    scales: list[float] = []

    def run(name: str, shorten: bool) -> Any:
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127, growth_interval=3)  # pyright: ignore[reportPrivateImportUsage]

        def scaled(trainer: Trainer) -> None:
            if shorten:
                shorten_steps(trainer)
            trainer.precision_plugin.scaler = scaler  # type: ignore[attr-defined]

        monkeypatch.setattr(TRAIN, "shorten_steps", scaled)
        result = trained(tmp_path / name, precision="bf16-mixed", clip=clip)
        scales.append(float(scaler.get_scale()))
        return result

    assert same(run("ours", True), run("lightnings", False))
    assert scales[0] == scales[1] < 2.0**127


def test_another_lightning_takes_its_own_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lightning.__version__", "2.7.0")
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    shorten_steps(trainer)
    assert not isinstance(trainer.fit_loop.epoch_loop, EpochLoop)
