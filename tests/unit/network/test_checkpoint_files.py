"""Checkpoints as other programs write them, made here in their layouts."""

import argparse
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import ddnn
from ddnn.errors import ModelFileError
from ddnn.network.checkpoint_files import fitted, read_checkpoint

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    return ddnn.build("resnet20", num_classes=3)["resnet20"].state_dict()


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + name: tensor for name, tensor in state.items()}


def loaded(content: Any, path: Path, classes: int = 3) -> dict[str, Tensor]:
    torch.save(content, path)
    return ddnn.build("resnet20", ["resnet8"], num_classes=classes, weights=path).extract("resnet20").state_dict()


@pytest.mark.parametrize("prefix", ["", "module.", "model.", "_orig_mod.", "backbone.", "model._orig_mod.", "my.net."])
def test_a_wrapper_s_prefix_is_taken_off(prefix: str, state: dict[str, Tensor], tmp_path: Path) -> None:
    got = loaded(prefixed(state, prefix), tmp_path / "net.ckpt")
    assert all(torch.equal(got[name], state[name]) for name in state)


@pytest.mark.parametrize("part", ["state_dict", "model", "model_state_dict", "ema", "anything"])
def test_the_state_dict_is_found_beside_an_optimizer_and_arguments(
    part: str, state: dict[str, Tensor], tmp_path: Path
) -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    beside = {
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(lr=0.1, data=["a"]),
        "epoch": 3,
        "best": np.float64(0.5),
    }
    got = loaded({**beside, part: prefixed(state, "module.")}, tmp_path / "checkpoint.pth.tar")
    assert all(torch.equal(got[name], state[name]) for name in state)


def test_trained_weights_go_before_averaged_ones_and_that_is_said(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "reference.pth"
    averaged = {
        "n_averaged": torch.tensor(1),
        **prefixed({name: 0 * value for name, value in state.items()}, "module."),
    }
    with pytest.warns(UserWarning, match="its model was taken, not model_ema"):
        got = loaded({"model": state, "model_ema": averaged}, path)
    assert torch.equal(got["conv1.weight"], state["conv1.weight"])


def test_what_stands_beside_the_net_is_left_out_and_that_is_said(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "module.ckpt"
    beside = {"criterion.weight": torch.ones(3), "teacher.conv1.weight": state["conv1.weight"]}
    with pytest.warns(UserWarning, match=r"model\. was taken off .*criterion.weight, teacher.conv1.weight left out"):
        loaded({"state_dict": {**beside, **prefixed(state, "model.")}}, path)


def test_two_nets_in_one_module_are_told_apart_or_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    other = {name: 0 * value for name, value in state.items()}
    got = loaded({**prefixed(other, "teacher."), **prefixed(state, "model.")}, tmp_path / "both.pt")
    assert torch.equal(got["conv1.weight"], state["conv1.weight"])
    with pytest.raises(ModelFileError, match=r"has this net 2 times, as first\., second\."):
        loaded({**prefixed(other, "first."), **prefixed(state, "second.")}, tmp_path / "two.pt")
    with pytest.raises(ModelFileError, match="several state dicts: state_dict, model"):
        loaded({"state_dict": state, "model": other}, tmp_path / "parts.pt")


def test_a_head_of_another_size_or_form_starts_fresh(state: dict[str, Tensor], tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="for 3 classes and this network for 5"):
        loaded(prefixed(state, "module."), tmp_path / "size.pt", classes=5)
    body = {name: value for name, value in state.items() if not name.startswith("fc.")}
    with pytest.warns(
        UserWarning, match=r"without a head of this form: its head starts fresh \(fc\.bias, fc\.weight\)"
    ):
        got = loaded({**body, "fc.1.weight": torch.ones(3, 64), "fc.1.bias": torch.ones(3)}, tmp_path / "form.pt")
    assert torch.equal(got["layer3.2.conv2.weight"], state["layer3.2.conv2.weight"])


def test_norms_that_did_not_count_their_batches_load(state: dict[str, Tensor], tmp_path: Path) -> None:
    old = {name: value for name, value in state.items() if not name.endswith("num_batches_tracked")}
    got = loaded(prefixed(old, "module."), tmp_path / "old.pth")
    assert torch.equal(got["bn1.weight"], state["bn1.weight"])


def test_a_sub_net_s_own_checkpoint_may_have_a_prefix_too(state: dict[str, Tensor], tmp_path: Path) -> None:
    small = ddnn.build("resnet8", num_classes=3)["resnet8"].state_dict()
    small = {name: value + 1 if "running_mean" in name else value for name, value in small.items()}
    paths = {"resnet20": tmp_path / "20.pt", "resnet8": tmp_path / "8.pt"}
    torch.save(state, paths["resnet20"])
    torch.save({"state_dict": prefixed(small, "model.")}, paths["resnet8"])
    network = ddnn.build("resnet20", ["resnet8"], num_classes=3, weights=paths)
    got = network["resnet8"].state_dict()
    assert torch.equal(got["layer3.0.bn2.running_mean"], small["layer3.0.bn2.running_mean"])


def test_a_deeper_net_s_checkpoint_is_refused_prefix_or_not(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(prefixed(state, "model."), tmp_path / "deep.pt")
    with pytest.raises(ModelFileError, match="is none of its"):
        ddnn.build("resnet8", num_classes=3, weights=tmp_path / "deep.pt")


class Code:
    """An object whose loading runs code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("ran",))


def test_nothing_is_unpickled_that_could_run_code(
    state: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ModelFileError, match="could run code"):
        loaded({"state_dict": state, "extra": Code()}, tmp_path / "code.ckpt")
    (tmp_path / "plain.bin").write_bytes(pickle.dumps(Code()))
    with pytest.raises(ModelFileError):
        read_checkpoint(tmp_path / "plain.bin")
    assert "ran" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [[], 3, {}, {"epoch": 1}, {"state_dict": {}}, {"state_dict": {1: torch.ones(1)}}])
def test_a_file_without_a_state_dict_says_so(content: Any, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "none.pt")
    with pytest.raises(ModelFileError, match="holds no state dict"):
        read_checkpoint(tmp_path / "none.pt")


def test_names_of_another_net_are_left_as_they_are() -> None:
    state = {"x.weight": torch.ones(1), "y.weight": torch.ones(1)}
    assert fitted(state, ["conv.weight", "norm.weight", "fc.weight"], "file") == state
