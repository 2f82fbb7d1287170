"""How long methods train, against arithmetic that is counted by hand."""

import pytest
import torch
from torch import nn

import ddnn
from ddnn.comparison.budgets import epochs_of, step_macs
from ddnn.config import CompareConfig, EKDConfig, TrainConfig
from ddnn.objectives import EKD, Joint

SHAPE = (3, 32, 32)


def _by_hand(net: nn.Module) -> int:
    """Forward and backward of a CIFAR ResNet for one 32x32 image: three passes, two for the first convolution, which
    needs no gradient of the image."""
    total = 0
    side = 32
    for name, layer in net.named_modules():
        if isinstance(layer, nn.Conv2d):
            assert layer.stride[0] in (1, 2)
            side = side // layer.stride[0] if "downsample" not in name and "shortcut" not in name else side
            macs = layer.weight.numel() * side * side
            total += macs * (2 if layer.in_channels == 3 else 3)
        if isinstance(layer, nn.Linear):
            total += 3 * layer.weight.numel()
    return total


def _network(*subnets: str) -> ddnn.DepthDynamicNetwork:
    with torch.device("meta"):
        return ddnn.build("resnet20", subnets=list(subnets), num_classes=10)


def test_a_step_of_one_net_costs_what_its_layers_cost() -> None:
    network = _network()
    assert step_macs(network, Joint(), SHAPE, [("resnet20",)]) == _by_hand(network["resnet20"])


def test_what_nets_share_is_counted_once() -> None:
    network = _network("resnet8")
    both = step_macs(network, Joint(), SHAPE, [network.names])
    apart = sum(step_macs(network, Joint(), SHAPE, [(name,)]) for name in network.names)
    stem, block = 3 * 16 * 9 * 1024, 2 * 16 * 16 * 9 * 1024
    assert apart - both == 2 * stem + 3 * block


def test_a_teacher_that_is_not_trained_costs_its_forward_pass() -> None:
    network = _network("resnet8")
    plain = step_macs(network, EKD(EKDConfig(beta=0.0)), SHAPE, [network.names])
    averaged = step_macs(network, EKD(EKDConfig(teacher="average", beta=0.0)), SHAPE, [network.names])
    with torch.no_grad():
        first = 3 * 16 * 9 * 1024
        assert 3 * (averaged - plain) == _by_hand(network["resnet20"]) + first


@pytest.mark.parametrize("budget", ["steps", "compute"])
def test_equal_budgets_are_equal(budget: str) -> None:
    methods = "alone,pruned,joint,sampled"
    config = CompareConfig(methods, budget=budget, train=TrainConfig(epochs=1000, subnets="resnet8"))
    epochs = {str(method): count for method, count in epochs_of(config, SHAPE, 10).items()}
    network = _network("resnet8")
    cost = {name: step_macs(network, Joint(), SHAPE, [(name,)]) for name in network.names}
    if budget == "steps":
        cost = dict.fromkeys(cost, 1.0)
    alone = sum(cost.values())
    assert epochs["alone"] == 1000
    pruned = cost["resnet20"] + 0.3 * cost["resnet8"]
    assert epochs[f"pruned@{budget}"] == round(1000 * alone / pruned)
    joint = step_macs(network, Joint(), SHAPE, [network.names]) if budget == "compute" else 1.0
    assert epochs[f"joint@{budget}"] == round(1000 * alone / joint)
    if budget == "compute":
        assert epochs["sampled@compute"] == pytest.approx(2000, rel=0.25)  # one of two nets a step, drawn at random


def test_equal_epochs_cost_nothing_to_find_out() -> None:
    config = CompareConfig("alone,ekd", train=TrainConfig(epochs=7))
    assert set(epochs_of(config, SHAPE, 10).values()) == {7}
