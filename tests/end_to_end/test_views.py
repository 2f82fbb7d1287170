"""Runs in which full net and sub-nets see different images."""

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ddnn import DDNNError, TrainConfig, train
from ddnn.config import AugmentConfig, EKDConfig
from ddnn.network.norm_statistics import set_statistics
from ddnn.training.interrupts import Terminated
from ddnn.training.module import DepthDynamicTraining
from ddnn.training.step import TrainingStep

STRONG = AugmentConfig(policy="trivialaugment", erase=0.3, mixup=0.5, subnets="weak")
CONFIG = TrainConfig(
    epochs=2,
    train_images=300,
    batch_size=60,
    full="resnet14",
    subnets="resnet8",
    augment=STRONG,
    subnet_sizes=[6, 4],
    full_dropout=0.3,
    label_smoothing=0.1,
    label_smoothing_on="full",
)
AVERAGE, FULL = CONFIG.ekd, EKDConfig(alpha=1.0, beta=0.1, temperature=1.0)


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path / "network" / "model.safetensors")


@pytest.mark.parametrize("ekd", [AVERAGE, FULL], ids=["average", "full"])
def test_ended_in_the_middle_of_an_epoch_and_resumed_it_is_the_same_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ekd: EKDConfig
) -> None:
    config, whole, cut = replace(CONFIG, ekd=ekd), tmp_path / "whole", tmp_path / "cut"
    train(replace(config, output=str(whole)), progress=False)
    take = DepthDynamicTraining.training_step

    def ended(self: DepthDynamicTraining, batch: Any, index: int) -> Any:
        if (self.current_epoch, index) == (1, 2):
            signal.raise_signal(signal.SIGTERM)
        return take(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(DepthDynamicTraining, "training_step", ended)
        with pytest.raises(Terminated):
            train(replace(config, output=str(cut)), progress=False)
    train(TrainConfig(resume=str(cut)), progress=False)
    expected, actual = weights(whole), weights(cut)
    assert all(torch.equal(expected[name], actual[name]) for name in expected)


def test_what_each_lesson_sees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    real = TrainingStep.__call__

    def note(self: TrainingStep, images: Any, labels: Any, epoch: Any, names: Any, teachers: Any = None) -> Any:
        seen.append((names, teachers, images.shape[-1], labels.ndim))
        return real(self, images, labels, epoch, names, teachers)

    monkeypatch.setattr(TrainingStep, "__call__", note)
    train(replace(CONFIG, ekd=FULL, output=str(tmp_path / "run")), progress=False)
    full, subnets = seen[::2], seen[1::2]
    assert set(full) == {(("resnet14",), None, 8, 2)}
    assert {lesson[:2] for lesson in subnets} == {(("resnet8",), ("resnet14",))}
    assert {side for _, _, side, _ in subnets} == {8, 6, 4}
    assert {dimensions for *_, dimensions in subnets} == {1}


def test_statistics_are_set_anew_from_images_as_large_as_test_images(tmp_path: Path) -> None:
    run = train(replace(CONFIG, output=str(tmp_path / "run")), progress=False)
    before = {name: tensor.clone() for name, tensor in run.network.tensors().items()}
    for name in ("resnet14", "resnet8"):
        keep = set() if name == "resnet14" else set(run.network["resnet14"].modules())
        set_statistics(run.network[name], keep, run.data.for_norms("cpu"))
    for name, tensor in run.network.tensors().items():
        torch.testing.assert_close(tensor, before[name], msg=name)
    assert not any(module._forward_pre_hooks for module in run.network.modules())


def test_a_run_without_sub_nets_is_that_of_a_net_alone(tmp_path: Path) -> None:
    config = replace(CONFIG, subnets="", full_dropout=0.0, label_smoothing_on="all", epochs=1)
    plain = replace(config, subnet_sizes=None, augment=replace(STRONG, subnets="same"))
    for name, own in (("views", config), ("plain", plain)):
        train(replace(own, output=str(tmp_path / name)), progress=False)
    views, expected = weights(tmp_path / "views"), weights(tmp_path / "plain")
    assert all(torch.equal(views[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"subnet_sizes": [8]}, r"subnet_sizes has 8 pixels a side, and the images have 8: give less"),
        (
            {"full": "vit_b_32", "subnets": {"half": [6]}, "image_size": 32, "model_options": {"image_size": 32},
             "subnet_sizes": [16]},
            r"vit_b_32 does not take images of 16x16 .* other --augment.sizes or --subnet_sizes",
        ),
    ],
)  # fmt: skip
def test_sizes_that_cannot_be_are_refused_before_the_run(keys: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DDNNError, match=message):
        train(replace(CONFIG, **keys, output=str(tmp_path / "run")), progress=False)
    assert not (tmp_path / "run").exists()


def test_with_turns_sub_nets_see_their_view_in_theirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Any, ...]] = []
    real = TrainingStep.__call__

    def note(self: TrainingStep, images: Any, labels: Any, epoch: Any, names: Any, teachers: Any = None) -> Any:
        seen.append((names, labels.ndim))
        return real(self, images, labels, epoch, names, teachers)

    monkeypatch.setattr(TrainingStep, "__call__", note)
    train(replace(CONFIG, alternate=True, epochs=1, output=str(tmp_path / "run")), progress=False)
    assert seen == [(("resnet14",), 2), (("resnet8",), 1)] * 2
