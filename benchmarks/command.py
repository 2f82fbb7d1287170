"""How the scripts are started: options as jsonargparse takes them, and one line about what makes no sense."""

import sys
from collections.abc import Callable

import torch
from jsonargparse import auto_cli

from ddnn.config import TrainConfig
from ddnn.errors import DDNNError

SubnetsOption = str | list[str] | dict[str, list[int]]
"""Names, as a list or with commas between them, or a depth for each name: what `ddnn train --subnets` takes."""

Subnets = list[str] | dict[str, tuple[int, ...]]


def run(main: Callable[..., None]) -> None:
    """Call `main` with what the command line says; one line and status 2 for what cannot be done."""
    torch.manual_seed(0)
    try:
        auto_cli(main)
    except DDNNError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def read_subnets(given: SubnetsOption) -> Subnets:
    """The sub-nets as `ddnn.build` takes them.

    Raises:
        DDNNError: if there is none.
    """
    subnets = TrainConfig(subnets=given).subnet_depths
    if not subnets:
        raise DDNNError("give at least one sub-net, such as --subnets resnet18 or --subnets '{half: [1, 2, 3, 1]}'")
    return subnets
