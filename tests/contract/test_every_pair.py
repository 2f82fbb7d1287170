"""What holds for every family and sub-net."""

from collections import Counter
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

import ddnn
from ddnn.network import joint_call
from ddnn.network.private_norms import is_norm
from ddnn.objectives import EKD, Loss
from tests.contract.built import undrawn
from tests.contract.pairs import NARROW, ONE_A_FAMILY, PAIRS, Pair
from tests.contract.timm_pairs import TimmPair

every_pair = pytest.mark.parametrize("pair", NARROW, scope="module")  # one pair after the other
every_pair_as_it_is = pytest.mark.parametrize("pair", PAIRS, scope="module")


def stock(pair: Pair, name: str, network: ddnn.DepthDynamicNetwork) -> nn.Module:
    """A model of torchvision's or timm's, or the family's own where they have none."""
    if isinstance(pair, TimmPair):
        return pair.stock(name)
    if hasattr(torchvision.models, name):
        size = {key: value for key, value in pair.options.items() if key == "image_size"}
        return torchvision.models.get_model(name, num_classes=7, **size)
    return pair.family.build(network.depths[name], 7, pair.family.default_input[0], network.options)


def close(actual: Tensor, expected: Tensor) -> None:
    """Equal but for rounding, which in a sum is relative to the largest of its terms."""
    largest = float(expected.detach().abs().max()) if expected.numel() else 0.0
    atol = 1e-9 * max(1.0, largest)
    if actual.shape != expected.shape or not torch.allclose(actual, expected, rtol=1e-7, atol=atol):
        torch.testing.assert_close(
            actual, expected, rtol=1e-7, atol=atol
        )  # takes ten times as long, and says what differs


@every_pair_as_it_is
def test_has_no_more_parameters_than_the_full_net(pair: Pair) -> None:
    network = pair.build()
    full = {id(parameter) for parameter in network[pair.full].parameters()}
    assert {id(parameter) for parameter in network.parameters()} == full
    assert network.names == (pair.subnet, pair.full)


@every_pair_as_it_is
def test_an_extracted_net_is_the_stock_model(pair: Pair) -> None:
    network = pair.build().eval()
    images = pair.images()
    for name in network.names:
        with undrawn():
            reference = stock(pair, name, network).eval()
        reference.load_state_dict(network.extract(name).state_dict(), strict=True)
        with torch.no_grad():
            assert torch.equal(reference(images), network(images, name))


@every_pair
def test_an_extracted_net_is_independent(pair: Pair) -> None:
    network = pair.build()
    with torch.no_grad():
        for parameter in network.extract(pair.subnet).parameters():
            parameter.fill_(7.0)
    assert not any(bool((parameter == 7.0).all()) for parameter in network.parameters())


@every_pair
def test_forward_all_equals_separate_calls(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_call, "WEIGHTS_PER_VALUE", 0)  # in one call wherever that can be
    check_runs_together(pair.build().double().train(), pair.images().double())


@pytest.mark.parametrize("pair", ONE_A_FAMILY)
def test_forward_all_equals_separate_calls_in_evaluation(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_call, "WEIGHTS_PER_VALUE", 0)
    check_runs_together(pair.build().double().eval(), pair.images().double())


@pytest.mark.parametrize("pair", ONE_A_FAMILY)
def test_private_norms_run_together_and_survive_saving(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(joint_call, "WEIGHTS_PER_VALUE", 0)
    network = with_private_norms(pair)
    full = {id(parameter) for parameter in network[pair.full].parameters()}
    private = {name: p for name, p in network[pair.subnet].named_parameters() if id(p) not in full}
    outside = {id(module) for module in network[pair.full].modules()}
    norms = {name for name, m in network[pair.subnet].named_modules() if is_norm(m) and id(m) not in outside}
    assert {name.rpartition(".")[0] for name in private} == norms
    if not norms:  # a VGG without them is the network of the test above
        return
    with torch.no_grad():
        for parameter in private.values():
            parameter.uniform_(0.5, 1.5)
    network.save(tmp_path)
    with pair.width():
        expected, again = network.tensors(), ddnn.load(tmp_path).tensors()
    assert again.keys() == expected.keys()
    assert all(torch.equal(again[name], tensor) for name, tensor in expected.items())
    check_runs_together(network.double().train(), pair.images().double())


def with_private_norms(pair: Pair) -> ddnn.DepthDynamicNetwork:
    shared = pair.build()
    full = shared.full, shared.depths[shared.full]
    network = ddnn.DepthDynamicNetwork(
        shared.family, full, shared[shared.full], num_classes=7, in_channels=shared.in_channels, options=shared.options
    )
    with pair.width():
        network.add_subnet(pair.subnet, shared.depths[pair.subnet], private_norms=True)
    return network


def check_runs_together(network: ddnn.DepthDynamicNetwork, images: Tensor) -> None:
    alone = {name: network.extract(name) for name in network.names}
    one_by_one = deepcopy(network)

    outputs = network.forward_all(images)
    sum(output.logits.square().mean() for output in outputs.values()).backward()
    expected = {name: one_by_one(images, name) for name in network.names}
    sum(logits.square().mean() for logits in expected.values()).backward()

    for name, model in alone.items():
        close(outputs[name].logits, expected[name])
        model(images)
        for key, buffer in model.named_buffers():
            close(network[name].get_buffer(key).double(), buffer.double())
    for (key, parameter), other in zip(network.named_parameters(), one_by_one.parameters(), strict=True):
        assert parameter.grad is not None, f"{key} got no gradient"
        assert other.grad is not None
        close(parameter.grad, other.grad)


@every_pair
def test_gives_a_feature_a_stage_of_the_same_resolution(pair: Pair) -> None:
    network = pair.build().eval()
    outputs = network.forward_all(pair.images())
    shapes = {name: [feature.shape for feature in output.features] for name, output in outputs.items()}
    assert [shape[2:] for shape in shapes[pair.subnet]] == [shape[2:] for shape in shapes[pair.full]]
    assert len(shapes[pair.full]) == len(network.depths[pair.full])


@every_pair
def test_computes_only_what_a_net_has_and_the_common_prefix_once(pair: Pair) -> None:
    network = pair.build().eval()
    calls: Counter[nn.Module] = Counter()
    for module in network.modules():
        module.register_forward_hook(lambda module, *_: calls.update([module]))
    network(pair.images(), pair.subnet)
    own = set(network[pair.subnet].modules())
    assert set(calls) <= own | {network}

    calls.clear()
    network(pair.images())
    alone = dict(calls)
    calls.clear()
    network.forward_all(pair.images())
    common = set.intersection(*(set(network[name].modules()) for name in network.names))
    assert any(list(module.parameters(recurse=False)) for module in common), "the stem at least is common"
    assert all(calls[module] == alone[module] for module in common if module in alone)


@every_pair
def test_survives_saving(pair: Pair, tmp_path: Path) -> None:
    network = pair.build()
    with torch.no_grad():
        network.train().forward_all(pair.images())  # running statistics that are not the initial ones
    network.eval().save(tmp_path / "network")
    with pair.width():
        again = ddnn.load(tmp_path / "network").eval()
    for name in network.names:
        assert torch.equal(network(pair.images(), name), again(pair.images(), name))
    save_file(network.extract(pair.full).state_dict(), tmp_path / "full.safetensors")
    saved = (tmp_path / "network" / "model.safetensors").stat().st_size
    statistics = sum(b.numel() * b.element_size() for b in network[pair.subnet].buffers())
    assert saved <= (tmp_path / "full.safetensors").stat().st_size + 2 * statistics + 65_536


@every_pair
def test_an_ekd_step_reaches_every_parameter(pair: Pair) -> None:
    network = pair.build().train()
    with torch.no_grad():  # away from initial values, such as a head of zeros, that stop all gradients
        for parameter in network.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    loss: Loss = EKD()(network.forward_all(pair.images(batch=8)), torch.arange(8) % 7)
    loss.total.backward()
    assert bool(torch.isfinite(loss.total))
    assert all(bool(torch.isfinite(part)) for part in loss.parts.values())
    silent = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert not silent
    zero = [name for name, p in network.named_parameters() if p.grad is not None and not p.grad.any()]
    assert not zero


@every_pair
def test_a_sub_net_s_own_step_leaves_the_other_parameters_alone(pair: Pair) -> None:
    network = pair.build().train()
    network(pair.images(), pair.subnet).square().mean().backward()
    own = {id(parameter) for parameter in network[pair.subnet].parameters()}
    for name, parameter in network.named_parameters():
        assert (parameter.grad is not None) == (id(parameter) in own), name
