"""How long methods train, against arithmetic that is counted by hand."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import ddnn
from ddnn.comparison.budgets import _joint_macs, epochs_of, of_nets, step_macs
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
    assert step_macs(network, Joint(), SHAPE, [of_nets("resnet20")]) == _by_hand(network["resnet20"])


def test_what_nets_share_is_counted_once() -> None:
    network = _network("resnet8")
    both = step_macs(network, Joint(), SHAPE, [of_nets(*network.names)])
    apart = sum(step_macs(network, Joint(), SHAPE, [of_nets(name)]) for name in network.names)
    stem, block = 3 * 16 * 9 * 1024, 2 * 16 * 16 * 9 * 1024
    assert apart - both == 2 * stem + 3 * block


def test_a_teacher_that_is_not_trained_costs_its_forward_pass() -> None:
    network = _network("resnet8")
    plain = step_macs(network, EKD(EKDConfig(beta=0.0)), SHAPE, [of_nets(*network.names)])
    averaged = step_macs(network, EKD(EKDConfig(teacher="average", beta=0.0)), SHAPE, [of_nets(*network.names)])
    with torch.no_grad():
        first = 3 * 16 * 9 * 1024
        assert 3 * (averaged - plain) == _by_hand(network["resnet20"]) + first


@pytest.mark.parametrize("budget", ["steps", "compute"])
def test_equal_budgets_are_equal(budget: str) -> None:
    methods = "alone,pruned,joint,sampled"
    config = CompareConfig(methods, budget=budget, train=TrainConfig(epochs=1000, subnets="resnet8"))
    epochs = {str(method): count for method, count in epochs_of(config, SHAPE, 10).items()}
    network = _network("resnet8")
    cost = {name: step_macs(network, Joint(), SHAPE, [of_nets(name)]) for name in network.names}
    if budget == "steps":
        cost = dict.fromkeys(cost, 1.0)
    alone = sum(cost.values())
    assert epochs["alone"] == 1000
    pruned = cost["resnet20"] + 0.3 * cost["resnet8"]
    assert epochs[f"pruned@{budget}"] == round(1000 * alone / pruned)
    joint = step_macs(network, Joint(), SHAPE, [of_nets(*network.names)]) if budget == "compute" else 1.0
    assert epochs[f"joint@{budget}"] == round(1000 * alone / joint)
    if budget == "compute":
        assert epochs["sampled@compute"] == pytest.approx(2000, rel=0.25)  # one of two nets a step, drawn at random


def test_what_a_step_does_is_what_is_counted() -> None:
    """Alternating steps cost less, sub-nets that begin later too, and smaller images of sub-nets a quarter."""
    shape, base = SHAPE, TrainConfig(epochs=100, subnets="resnet8", objective="joint")
    network = _network("resnet8")
    alone = {name: step_macs(network, Joint(), shape, [of_nets(name)]) for name in network.names}
    both = step_macs(network, Joint(), shape, [of_nets(*network.names)])
    assert _joint_macs(base, shape, 10) == both
    assert _joint_macs(replace(base, alternate=True), shape, 10) == sum(alone.values()) / 2
    later = _joint_macs(replace(base, subnets_from=0.5), shape, 10)
    assert later == pytest.approx((both + alone["resnet20"]) / 2, rel=0.02)
    small = step_macs(network, Joint(), (3, 16, 16), [of_nets("resnet8")])
    halved = replace(base, subnet_sizes=[16], subnet_size_share=1.0)
    assert _joint_macs(halved, shape, 10) == alone["resnet20"] + small


def test_equal_epochs_cost_nothing_to_find_out() -> None:
    config = CompareConfig("alone,ekd", train=TrainConfig(epochs=7))
    assert set(epochs_of(config, SHAPE, 10).values()) == {7}
