"""Steps of several nets in one call: when, and that nothing else changes."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

import ddnn
from ddnn.network import joint_call, lanes

Calls = list[tuple[str, int]]


@pytest.fixture(autouse=True)
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """Takes every step in one call that can be, however few its weights; notes the step, and for how many nets."""
    monkeypatch.setattr(joint_call, "WEIGHTS_PER_VALUE", 1e-9)
    seen: Calls = []

    def noted(steps: Any, models: Any, values: Any) -> Any:
        together = joint_call.joint_call(steps, models, values)
        if together is not None:
            seen.append((steps[0].key, len(values)))
        return together

    monkeypatch.setattr(lanes, "joint_call", noted)
    return seen


def make(full: str = "resnet20", subnets: Any = ("resnet8", "resnet14"), **options: Any) -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    subnets = dict(subnets) if isinstance(subnets, dict) else list(subnets)
    return ddnn.build(full, subnets, num_classes=4, **options).double()


def images(side: int = 16) -> Tensor:
    return torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(1)).double()


def step(network: ddnn.DepthDynamicNetwork) -> dict[str, Tensor]:
    """Logits, gradients and running statistics of one training step."""
    outputs = network.forward_all(images())
    sum(output.logits.square().sum() + output.features[-1].sum() for output in outputs.values()).backward()
    logits = {f"logits/{name}": output.logits for name, output in outputs.items()}
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return logits | gradients | dict(network.named_buffers())


def equal_to_separate_calls(network: ddnn.DepthDynamicNetwork, side: int = 16) -> None:
    outputs = network.eval().forward_all(images(side))
    for name in network.names:
        torch.testing.assert_close(outputs[name].logits, network(images(side), name))


def test_is_what_the_nets_give_one_by_one(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    network = make()
    with monkeypatch.context() as patch:
        patch.setattr(joint_call, "WEIGHTS_PER_VALUE", float("inf"))
        expected = step(deepcopy(network))
    assert not calls
    actual = step(network)
    assert calls == [
        ("layer2.0", 3), ("layer2.1", 2), ("layer3.0", 3), ("layer3.1", 2), ("head", 3),
    ]  # fmt: skip
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        torch.testing.assert_close(actual[name], tensor)


@pytest.mark.parametrize(("side", "joint"), [(16, True), (128, False)])
def test_only_where_weights_outnumber_values(
    side: int, joint: bool, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint_call, "WEIGHTS_PER_VALUE", 4)
    make().forward_all(images(side))
    assert bool(calls) == joint


@pytest.mark.parametrize(
    ("full", "subnets"),
    [
        ("densenet169", {"a": (6, 12, 32, 16), "b": (6, 11, 32, 32)}),
        ("vgg13", {"vgg11": (1, 1, 2, 2, 2), "a": (2, 1, 2, 2, 1)}),
        ("resnet34", {"a": (1, 2, 2, 2), "b": (2, 1, 3, 1), "c": (1, 1, 1, 1)}),
        ("convnext_small", {"a": (3, 3, 9, 3), "b": (2, 3, 9, 2)}),
    ],
)
def test_three_nets_and_more(full: str, subnets: dict[str, tuple[int, ...]]) -> None:
    equal_to_separate_calls(make(full, subnets), side=32)


def test_rates_that_differ_stay_different() -> None:
    network = make("convnext_small", {"s": (1, 3, 9, 3)}, stochastic_depth=0.5)
    rates: list[float] = []
    for module in network.modules():
        if isinstance(module, torchvision.ops.StochasticDepth):
            module.register_forward_hook(lambda module, *_: rates.append(module.p))  # pyright: ignore[reportArgumentType]
    network.forward_all(images(32))
    own = {m.p for m in network["s"].modules() if isinstance(m, torchvision.ops.StochasticDepth)}
    others = {m.p for m in network[network.full].modules() if isinstance(m, torchvision.ops.StochasticDepth)}
    assert set(rates) == own | others


def test_the_mode_of_each_net_holds() -> None:
    network = make("vgg13", ["vgg11"]).train()
    network["vgg13"].eval()
    once, again = (network.forward_all(images(32))["vgg13"].logits for _ in range(2))
    assert torch.equal(once, again), "dropout is off in vgg13"


def test_the_mode_of_each_norm_holds() -> None:
    network = make()
    norm, other = (network.nets[f"net_{name}"].get_submodule("layer3.0.bn1") for name in ("resnet8", "resnet20"))
    norm.eval()
    before = norm.get_buffer("running_mean").clone()
    network.forward_all(images())
    assert torch.equal(norm.get_buffer("running_mean"), before)
    assert not torch.equal(other.get_buffer("running_mean"), before)


def replace_module(net: nn.Module) -> None:
    net.get_submodule("layer3.0").bn1 = nn.Tanh()


def replace_parameter(net: nn.Module) -> None:
    conv = net.get_submodule("layer3.0.conv1")
    conv.weight = nn.Parameter(torch.zeros_like(conv.get_parameter("weight")))


def replace_forward(net: nn.Module) -> None:
    net.get_submodule("layer3.0").forward = lambda x: torch.zeros_like(x)[:, :, ::2, ::2].repeat(1, 2, 1, 1)


def prune_weights(net: nn.Module) -> None:
    prune.random_unstructured(net.get_submodule("layer3.0.conv1"), "weight", 0.5)


class Doubled(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return 2 * weight


def parametrize_weights(net: nn.Module) -> None:
    parametrize.register_parametrization(net.get_submodule("layer3.0.conv2"), "weight", Doubled())


@pytest.mark.parametrize(
    "change", [replace_module, replace_parameter, replace_forward, prune_weights, parametrize_weights]
)
@pytest.mark.parametrize("name", ["resnet8", "resnet20"])
def test_what_is_changed_later_is_used(change: Callable[[nn.Module], None], name: str) -> None:
    network = make().eval()
    network.forward_all(images())
    change(network[name])
    equal_to_separate_calls(network)


def test_a_net_that_is_replaced_later_is_used() -> None:
    network = make().eval()
    network.forward_all(images())
    network.nets["net_resnet8"] = make()["resnet8"].eval()
    with torch.no_grad():
        network["resnet8"].get_parameter("layer2.0.conv1.weight").zero_()
    torch.testing.assert_close(network.forward_all(images())["resnet8"].logits, network(images(), "resnet8"))


@pytest.mark.parametrize("path", ["layer3.0", "layer3.0.conv1"])
def test_hooks_see_their_own_net_s_batch(path: str) -> None:
    network, seen = make(), []
    for name in network.names:
        network[name].get_submodule(path).register_forward_hook(
            lambda _module, _inputs, output, name=name: seen.append((name, len(output)))
        )
    network.forward_all(images())
    assert sorted(seen) == [("resnet14", 2), ("resnet20", 2), ("resnet8", 2)]


def test_outputs_can_be_written_into() -> None:
    outputs = make().forward_all(images())
    for output in outputs.values():
        output.logits[:, 2:] = -1e9
        output.logits.sum().backward(retain_graph=True)


def test_copies_and_new_subnets_have_their_own_calls() -> None:
    network = make().eval()
    network.forward_all(images())
    copy = deepcopy(network)
    with torch.no_grad():
        copy["resnet20"].get_parameter("layer3.0.conv1.weight").zero_()
    equal_to_separate_calls(copy)
    network.add_subnet("middle", (1, 2, 1))
    equal_to_separate_calls(network)


def test_compiled_it_runs_net_by_net(calls: Calls) -> None:
    network = make()
    torch.compile(network.forward_all, fullgraph=True, backend="eager")(images())
    assert not calls


def test_models_of_users_run_net_by_net(calls: Calls) -> None:
    model = torchvision.models.resnet18(num_classes=5)
    network = ddnn.from_model(model, ["layer1", "layer2", "layer3", "layer4"], {"half": (1, 1, 1, 1)})
    network.forward_all(torch.randn(2, 3, 32, 32))
    assert not calls
