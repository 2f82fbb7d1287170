"""Several gloo processes on one machine do what one does with the same batches."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.distributed.launcher import in_processes

# A small learning rate, at which rounding does not grow from step to step.
FIELDS = {"epochs": 2, "train_images": 330, "batch_size": 48, "lr": 0.003, "objective": "joint", "subnets": "resnet8"}
FIELDS |= {"full": "resnet14", "device": "cpu"}


def outcome(folder: Path, count: int, **changes: Any) -> list[tuple[dict[str, Any], dict[str, torch.Tensor]]]:
    """What each process came to."""
    folder.mkdir()
    (folder / "fields.json").write_text(json.dumps({**FIELDS, **changes, "output": str(folder / "run")}))
    in_processes(count, "tests.distributed.trains", folder / "fields.json", folder)
    return [
        (json.loads((folder / f"{rank}.json").read_text()), load_file(folder / f"{rank}.safetensors"))
        for rank in range(count)
    ]


def assert_same_weights(outcomes: list[tuple[dict[str, Any], dict[str, torch.Tensor]]]) -> None:
    first = outcomes[0][1]
    for _, others in outcomes[1:]:
        assert all(torch.equal(first[name], others[name]) for name in first)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    return outcome(tmp_path_factory.mktemp("alone") / "1", 1)[0]


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_with_synchronised_norm_they_are_one_process_with_the_same_batches(
    count: int, alone: tuple[dict[str, Any], dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    several = outcome(tmp_path / "several", count, sync_norm=True)
    assert_same_weights(several)
    whole, weights = alone
    losses = torch.tensor([result["losses"] for result, _ in several]).mean(0)
    torch.testing.assert_close(losses, torch.tensor(whole["losses"]), rtol=1e-4, atol=1e-4)
    assert {name for name in weights if "running_mean" in name}  # each net's own statistics are among them
    for name, tensor in weights.items():
        torch.testing.assert_close(
            several[0][1][name], tensor, rtol=1e-2, atol=2e-3, msg=lambda text, n=name: f"{n}: {text}"
        )
    assert sum(result["seen"] for result, _ in several) == whole["seen"] == 359  # each test image once
    for name, score in whole["scores"].items():
        for result, _ in several:
            assert result["scores"][name]["images"] == 359
            assert result["scores"][name]["accuracy"] == pytest.approx(score["accuracy"], abs=2 / 359)
    rows = (tmp_path / "several" / "run" / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3  # the first process alone writes


@pytest.mark.parametrize(
    "drawn", [{"subnets_per_step": 1}, pytest.param({"subnets_from": 0.4, "subnets_ramp": 0.3}, marks=pytest.mark.slow)]
)
def test_without_it_weights_and_statistics_are_equal_all_the_same(drawn: dict[str, Any], tmp_path: Path) -> None:
    changes = {"objective": "ekd", "subnets": {"resnet8": [1, 1, 1], "middle": [1, 2, 1]}, **drawn}
    assert_same_weights(outcome(tmp_path / "several", 2, accumulate=2, private_norms=True, clip=1.0, **changes))


@pytest.mark.parametrize(
    "changes",
    [
        {
            "objective": "ekd", "subnets": "resnet8,resnet14", "full": "resnet20", "train_images": 200, "epochs": 1,
            "accumulate": 2, "clip": 1.0, "ema": 0.9, "keep": "best:mean", "class_weights": {"3": 2.0},
            "sampler": "balanced",
        },
        pytest.param({"private_norms": True, "optimizer": "adamw"}, marks=pytest.mark.slow),
        pytest.param(
            {"full": "densenet40_bc", "subnets": {"half": [3, 3, 3]}, "train_images": 120, "epochs": 1},
            marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_with_a_share_of_the_weights_each_they_train_as_with_the_whole(changes: dict[str, Any], tmp_path: Path) -> None:
    whole = outcome(tmp_path / "ddp", 2, **changes)
    shares = outcome(tmp_path / "fsdp", 2, strategy="fsdp", **changes)
    assert_same_weights(shares)
    for (expected, _), (actual, _) in zip(whole, shares, strict=True):
        torch.testing.assert_close(torch.tensor(actual["losses"]), torch.tensor(expected["losses"]), rtol=1e-3, atol=0)
    for name, tensor in whole[0][1].items():  # what was saved: with `ema`, the running average
        torch.testing.assert_close(
            shares[0][1][name], tensor, rtol=1e-2, atol=2e-3, msg=lambda text, n=name: f"{n}: {text}"
        )
