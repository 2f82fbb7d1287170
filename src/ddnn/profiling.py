"""What a net costs: parameters and multiply-accumulates."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ddnn.families import Family
from ddnn.modes import in_mode


@dataclass(frozen=True)
class Cost:
    """The size of one net.

    Args:
        parameters: numbers that are trained.
        macs: multiply-accumulates for one image, in convolutions and matrix products.
    """

    parameters: int
    macs: int


def cost(model: nn.Module, input_shape: tuple[int, int, int]) -> Cost:
    """The cost of a model for one image of (channels, height, width); a model on the meta device is not computed."""
    device = next(model.parameters()).device
    counter = FlopCounterMode(display=False)
    with in_mode(model, training=False), counter, torch.no_grad():
        model(torch.zeros(1, *input_shape, device=device))
    return Cost(sum(parameter.numel() for parameter in model.parameters()), counter.get_total_flops() // 2)


def family_costs(family: Family, num_classes: int = 1000) -> dict[str, Cost]:
    """The cost of each member of a family at its usual input size; no weights are made."""
    costs = {}
    for name, depth in family.members.items():
        with torch.device("meta"):
            model = family.build(depth, num_classes, family.default_input[0], family.options())
        costs[name] = cost(model, family.default_input)
    return costs
