"""Steps of several nets in one call: when, and that nothing else changes."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

import ddnn
from ddnn import joint_step
from ddnn.joint_step import JointStep


@pytest.fixture
def network() -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    return ddnn.build("resnet20", ["resnet8", "resnet14"], num_classes=4).double()


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many nets each joint call served."""
    seen: list[int] = []
    plain = JointStep.__call__

    def counted(self: JointStep, values: list[Tensor]) -> object:
        seen.append(len(values))
        return plain(self, values)

    monkeypatch.setattr(JointStep, "__call__", counted)
    return seen


def images(side: int = 16) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)).double()


def step(network: ddnn.DepthDynamicNetwork, side: int = 16) -> dict[str, Tensor]:
    """Logits, gradients and running statistics of one training step."""
    network.zero_grad()
    outputs = network.forward_all(images(side))
    sum(output.logits.square().sum() + output.features[-1].sum() for output in outputs.values()).backward()
    logits = {f"logits/{name}": output.logits for name, output in outputs.items()}
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return logits | gradients | dict(network.named_buffers())


def test_is_what_the_nets_give_one_by_one(
    network: ddnn.DepthDynamicNetwork, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint_step, "WEIGHTS_PER_VALUE", float("inf"))
    expected = step(deepcopy(network))
    assert not calls
    monkeypatch.setattr(joint_step, "WEIGHTS_PER_VALUE", 0)
    actual = step(network)
    assert calls.count(3) == 3, "the first blocks of stages 2 and 3, and the head"
    assert calls.count(2) == 2, "their second blocks"
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor)


@pytest.mark.parametrize(("side", "joint"), [(16, True), (128, False)])
def test_runs_jointly_only_where_weights_outnumber_values(
    network: ddnn.DepthDynamicNetwork, calls: list[int], side: int, joint: bool
) -> None:
    network.forward_all(images(side), ["resnet14", "resnet20"])
    blocks = calls[:-1]  # the head has more weights than values in both
    assert bool(blocks) == joint


def test_a_module_that_was_put_in_later_is_used(network: ddnn.DepthDynamicNetwork) -> None:
    network.forward_all(images())
    network["resnet8"].layer3[0].bn1 = nn.Identity()
    outputs = network.forward_all(images())
    torch.testing.assert_close(outputs["resnet8"].logits, network(images(), "resnet8"))


def test_a_part_of_a_tensor_is_not_the_tensor() -> None:
    network = ddnn.build("densenet169", ["densenet121"], num_classes=3)
    steps = {name: network.family.steps(network.depths[name])[-1] for name in network.names}
    assert joint_step.joint_step(list(steps.values()), [network[name] for name in network.names]) is None


def test_the_mode_of_each_norm_holds(network: ddnn.DepthDynamicNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_step, "WEIGHTS_PER_VALUE", 0)
    network["resnet8"].layer3[0].bn1.eval()
    before = network["resnet8"].layer3[0].bn1.running_mean.clone()
    network.forward_all(images())
    assert torch.equal(network["resnet8"].layer3[0].bn1.running_mean, before)
    assert not torch.equal(network["resnet20"].layer3[0].bn1.running_mean, before)


def test_models_of_users_run_net_by_net(calls: list[int]) -> None:
    import torchvision

    model = torchvision.models.resnet18(num_classes=5)
    network = ddnn.from_model(model, ["layer1", "layer2", "layer3", "layer4"], {"half": (1, 1, 1, 1)})
    network.forward_all(torch.randn(2, 3, 32, 32))
    assert not calls
