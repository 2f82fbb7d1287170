"""What a net costs: parameters and multiply-accumulates."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ddnn.families import Family
from ddnn.families.modes import in_mode


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
    count = macs(model, torch.zeros(1, *input_shape, device=device))
    return Cost(sum(parameter.numel() for parameter in model.parameters()), count)


def macs(model: nn.Module, value: Any) -> int:
    """Multiply-accumulates of a module for what goes into it, in evaluation mode."""
    counter = FlopCounterMode(display=False)
    with in_mode(model, training=False), _frozen(model), counter, torch.no_grad():
        model(value)
    return counter.get_total_flops() // 2


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """Without gradients of its parameters: torch's counter trips over parts of a parameter that has one."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def family_costs(family: Family, image_size: int | None = None, num_classes: int | None = None) -> dict[str, Cost]:
    """The cost of each member of a family; no weights are made.

    Args:
        family: any.
        image_size: side in pixels; None means the family's usual one.
        num_classes: outputs; None means the family's usual number.
    """
    channels, height, width = family.default_input
    shape = (channels, image_size or height, image_size or width)
    sized = {"image_size": image_size} if image_size and _takes_image_size(family) else {}
    costs = {}
    for name, depth in family.members.items():
        with torch.device("meta"):
            model = family.build(depth, num_classes or family.default_classes, channels, family.options(**sized))
        costs[name] = cost(model, shape)
    return costs


def _takes_image_size(family: Family) -> bool:
    return any(field.name == "image_size" for field in fields(family.options))
