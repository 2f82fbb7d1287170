"""No step reads a number from the device, for that has the host wait for a GPU, and then the GPU for the host.

What reads one is seen on a CPU too: each such call ends in one of a few operators of torch.
"""

from collections import defaultdict
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import ddnn
from ddnn.config import AugmentConfig, EKDConfig
from ddnn.training.late_flag import LateFlag
from ddnn.training.module import FINITE_CHECK_STEPS, DepthDynamicTraining, NonFiniteLossError

WAIT = {"_local_scalar_dense", "item", "is_nonzero", "nonzero", "masked_select", "_unique2", "unique_dim", "equal"}
STEPS = 8


class Reads(TorchDispatchMode):
    """Notes the operators that wait for a GPU, under whatever is going on."""

    def __init__(self) -> None:
        super().__init__()
        self.phase = "before"
        self.seen: defaultdict[str, list[str]] = defaultdict(list)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name in WAIT or (name == "index" and any(_is_mask(place) for place in args[1])):
            self.seen[self.phase].append(name)
        return func(*args, **(kwargs or {}))


def _is_mask(place: Any) -> bool:
    return isinstance(place, Tensor) and place.dtype in (torch.bool, torch.uint8)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    """In a phase for each step: from its forward pass to the next one's."""
    reads, step, validate = Reads(), DepthDynamicTraining.training_step, DepthDynamicTraining.validation_step

    def training_step(self: DepthDynamicTraining, batch: Any, index: int) -> Any:
        reads.phase = "between epochs" if index == STEPS - 1 else f"step {index}"
        return step(self, batch, index)

    def validation_step(self: DepthDynamicTraining, batch: Any, index: int) -> None:
        reads.phase = "validation"
        validate(self, batch, index)
        reads.phase = "between epochs"

    monkeypatch.setattr(DepthDynamicTraining, "training_step", training_step)
    monkeypatch.setattr(DepthDynamicTraining, "validation_step", validation_step)
    return reads


RUNS: Mapping[str, Mapping[str, Any]] = {  # mixup is not here: it draws on the CPU, wherever the images are
    "default": {"augment": AugmentConfig(erase=0.5)},
    "claim": {"ekd": EKDConfig(1.0, 0.0, 1.0), "precision": "bf16-mixed", "channels_last": True, "clip": 1.0},
    "ramped, in parts": {"optimizer": "adamw", "ekd": EKDConfig(ramp_epochs=1.0), "accumulate": 2},
    "adn": {"objective": "adn"},
}


@pytest.mark.parametrize("options", RUNS.values(), ids=RUNS.keys())
def test_no_step_and_no_validation_waits(options: Mapping[str, Any], reads: Reads, tmp_path: Path) -> None:
    fixed = {"full": "resnet14", "subnets": "resnet8", "epochs": 1, "batch_size": 8, "device": "cpu", "validation": 0.1}
    parts = options.get("accumulate", 1)
    config = ddnn.TrainConfig(**fixed, **options, train_images=STEPS // parts * 9, output=str(tmp_path / "run"))
    with reads:
        ddnn.train(config, progress=False)
    assert reads.seen.pop("between epochs"), "results are read"
    reads.seen.pop("before", None)
    assert dict(reads.seen) == {}


def test_the_bar_of_a_terminal_does_not_wait(reads: Reads, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("ddnn.training.train", "ddnn.training.progress"):
        monkeypatch.setattr(import_module(module), "shows_bar", lambda _: True)
    fixed: Any = {"full": "resnet8", "subnets": "", "epochs": 2, "batch_size": 8, "device": "cpu"}
    config = ddnn.TrainConfig(**fixed, objective="joint", train_images=STEPS * 9, output=str(tmp_path / "run"))
    with reads:
        ddnn.train(config)
    assert {phase: seen for phase, seen in reads.seen.items() if "step" in phase} == {}


def test_a_loss_that_is_not_finite_is_seen_all_the_same(tmp_path: Path) -> None:
    config = ddnn.TrainConfig(
        full="resnet8", subnets="", objective="joint", epochs=1, batch_size=2, lr=1e30, warmup_epochs=0.0,
        train_images=4 * FINITE_CHECK_STEPS, validation=0.0, device="cpu", output=str(tmp_path / "run"),
    )  # fmt: skip
    with pytest.raises(NonFiniteLossError, match="the loss is not finite"):
        ddnn.train(config, progress=False)


def test_a_flag_on_a_cpu_is_the_one_that_is_given() -> None:
    late = LateFlag()
    assert [late.exchange(torch.tensor(flag)) for flag in (True, False, True)] == [True, False, True]
