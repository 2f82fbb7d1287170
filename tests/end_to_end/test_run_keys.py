"""What may be given beside `--resume`, what is refused, and with which epoch a run ends."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from ddnn import DDNNError, TrainConfig, train
from ddnn.runs.run_directory import RunDirectory
from ddnn.training import best_epoch
from tests.end_to_end.command import refused, run

SMALL = TrainConfig(full="resnet8", subnets="", objective="joint", epochs=3, train_images=80, batch_size=32)


def weights(path: Path) -> dict[str, Tensor]:
    return load_file(path / "network" / "model.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def results(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((path / "results.json").read_text())
    return document


def accuracies_are(monkeypatch: pytest.MonkeyPatch, values: Sequence[float]) -> None:
    """Have epochs be as good as these say, one after another."""
    left = iter(values)
    monkeypatch.setattr(best_epoch, "accuracy_of", lambda *_: next(left))


def cut_short(config: TrainConfig, path: Path, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Train until an epoch is saved, and no further."""

    class Cut(Exception):
        pass

    append = RunDirectory.append_metrics

    def ending(self: RunDirectory, row: dict[str, Any]) -> None:
        if row["epoch"] > after:
            raise Cut
        append(self, row)

    with monkeypatch.context() as patch:
        patch.setattr(RunDirectory, "append_metrics", ending)
        with pytest.raises(Cut):
            train(replace(config, output=str(path)), progress=False)


def test_more_epochs_are_trained_though_their_number_is_the_default(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    train(replace(SMALL, epochs=1, train_images=40, output=str(path)), progress=False)
    assert TrainConfig().epochs == 20
    done = run(capfd, "train", "--resume", path, "--epochs", 20)
    assert done.status == 0
    assert "goes on with epochs 20 instead of 1" in done.err
    assert "the schedule (cosine over 20 epochs, peak 0.1) goes on from epoch 1" in done.err
    assert [int(row["epoch"]) for row in RunDirectory(path).read_metrics()] == list(range(1, 21))
    assert RunDirectory(path).read_config().epochs == 20
    assert "so --epochs 3 is too few" in refused(run(capfd, "train", "--resume", path, "--epochs", 3))


def test_going_on_with_more_epochs_and_another_rate_is_a_run_that_had_them_from_there_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, whole = tmp_path / "run", tmp_path / "whole"
    constant = replace(SMALL, schedule="step", milestones=[], warmup_epochs=0.0)
    train(replace(constant, epochs=2, output=str(path)), progress=False)
    train(TrainConfig(resume=str(path), epochs=4), progress=False)
    train(replace(constant, epochs=4, output=str(whole)), progress=False)
    assert same(weights(path), weights(whole))
    rates: list[float] = []
    train(TrainConfig(resume=str(path), epochs=5, lr=0.0125), progress=False)
    state = torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)
    rates = [group["lr"] for group in state["optimizer_states"][0]["param_groups"]]
    assert rates == [0.0125, 0.0125]
    assert RunDirectory(path).read_config().lr == 0.0125


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"batch_size": 64}, "batch_size is 32; in the middle of a run only epochs, lr, .* may change"),
        ({"full": "resnet20", "epochs": 9}, "full is 'resnet8'"),
        ({"lr": 0.3}, "has ended with epoch 1, so another lr would change nothing; give more --epochs"),
        ({"output": "elsewhere"}, "output is None"),
    ],
)
def test_what_would_be_ignored_is_refused(tmp_path: Path, keys: dict[str, Any], message: str) -> None:
    path = tmp_path / "run"
    train(replace(SMALL, epochs=1, train_images=40, output=str(path)), progress=False)
    before = RunDirectory(path).config_file.read_text()
    with pytest.raises(DDNNError, match=message):
        train(TrainConfig(resume=str(path), **keys), progress=False)
    assert RunDirectory(path).config_file.read_text() == before
    train(TrainConfig(resume=str(path), batch_size=32, full="resnet8"), progress=False)  # what it has already


def test_seconds_add_up_over_resumes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    cut_short(SMALL, path, monkeypatch, after=2)
    file = RunDirectory(path).last_checkpoint
    saved = torch.load(file, weights_only=True)["callbacks"]["Clock"]["seconds"]
    finished = train(TrainConfig(resume=str(path)), progress=False)
    assert finished.seconds > saved > 0
    again = train(TrainConfig(resume=str(path)), progress=False)
    assert again.seconds >= results(path)["seconds"] - 0.1
    assert again.seconds >= finished.seconds - 0.1


def test_the_best_epoch_is_kept_also_in_a_run_that_was_cut_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    best, whole, cut = (tmp_path / name for name in ("best", "whole", "cut"))
    keep = replace(SMALL, epochs=4, keep="best:resnet8", ema=0.9)
    accuracies_are(monkeypatch, [0.2, 0.6, 0.5, 0.4])
    kept = train(replace(keep, output=str(whole)), progress=False)
    assert (kept.validation["kept_epoch"], kept.validation["last_epoch"]) == (2, 4)
    assert results(whole)["validation"]["best_accuracy"] == 0.6
    accuracies_are(monkeypatch, [0.2, 0.6, 0.5])
    cut_short(keep, cut, monkeypatch, after=3)
    accuracies_are(monkeypatch, [0.4])
    train(TrainConfig(resume=str(cut)), progress=False)
    assert same(weights(whole), weights(cut))
    accuracies_are(monkeypatch, [0.2, 0.6])
    cut_short(replace(keep, keep="last"), best, monkeypatch, after=2)
    averaged = {
        name: tensor
        for name, tensor in torch.load(best / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"].items()
        if name.startswith("average.network.")
    }
    own = {tuple(tensor.flatten()[:3].tolist()) for tensor in weights(whole).values()}
    assert own <= {tuple(tensor.flatten()[:3].tolist()) for tensor in averaged.values()}


def test_a_run_that_gets_no_better_ends_early_and_stays_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    accuracies_are(monkeypatch, [0.5, 0.4, 0.5])
    train(replace(SMALL, epochs=9, patience=2, checkpoint_epochs=5, output=str(path)))
    assert "ended after epoch 3 of 9" in capfd.readouterr().err
    assert len(RunDirectory(path).read_metrics()) == 3
    before = weights(path)
    train(TrainConfig(resume=str(path)), progress=False)
    assert len(RunDirectory(path).read_metrics()) == 3
    assert same(before, weights(path))
    with pytest.raises(DDNNError, match="would again by its patience of 2; give a larger --patience"):
        train(TrainConfig(resume=str(path), epochs=12), progress=False)
    accuracies_are(monkeypatch, [0.4])
    train(TrainConfig(resume=str(path), patience=3), progress=False)
    assert len(RunDirectory(path).read_metrics()) == 4


def test_a_last_epoch_that_is_worse_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    accuracies_are(monkeypatch, [0.5, 0.75, 0.7])
    train(replace(SMALL, output=str(tmp_path / "run")))
    told = capfd.readouterr().err
    assert "was 75.00 % in epoch 2 and 70.00 % in the last, 3: epoch 3 is kept; --keep best:mean keeps the best" in told
    accuracies_are(monkeypatch, [0.5, 0.7, 0.75])
    train(replace(SMALL, output=str(tmp_path / "other")))
    assert "% in the last" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"keep": "best:resnet9"}, "keep names 'resnet9', which is no net that is trained here"),
        ({"keep": "best:mean", "validation": 0.0}, "keep compares epochs by the validation images"),
        ({"patience": 2, "validation": 0.0}, "patience compares epochs"),
        ({"class_weights": {"eleven": 2.0}}, "class_weights names 'eleven', which is no class here"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    with pytest.raises(DDNNError, match=message):
        train(replace(SMALL, output=str(tmp_path / "run"), **keys), progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("keys", [{"class_weights": "balanced"}, {"sampler": "balanced"}])
def test_what_makes_up_for_rare_classes_resumes_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any]
) -> None:
    whole, cut, plain = (tmp_path / name for name in ("whole", "cut", "plain"))
    config = replace(SMALL, **keys)
    train(replace(config, output=str(whole)), progress=False)
    cut_short(config, cut, monkeypatch, after=1)
    train(TrainConfig(resume=str(cut)), progress=False)
    assert same(weights(whole), weights(cut))
    train(replace(SMALL, output=str(plain)), progress=False)
    assert not same(weights(whole), weights(plain))


def test_figures_of_each_class_are_in_the_results_and_in_a_table(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "run"
    train(replace(SMALL, epochs=1, output=str(path)), progress=False)
    net = results(path)["nets"]["resnet8"]
    assert [each["name"] for each in net["classes"]] == [str(digit) for digit in range(10)]
    assert sum(each["support"] for each in net["classes"]) == net["images"]
    recalls = [each["recall"] for each in net["classes"]]
    assert net["balanced_accuracy"] == pytest.approx(sum(recalls) / 10)
    done = run(capfd, "evaluate", path)
    assert "balanced, %" in done.out
    assert "resnet8 recall, %" in done.out
    assert json.loads(run(capfd, "evaluate", path, "--json").out)["nets"]["resnet8"]["classes"] == net["classes"]
