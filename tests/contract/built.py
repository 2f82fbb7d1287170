"""Networks that several tests in a row begin with: drawing the weights of one takes longer than copying them."""

from collections.abc import Callable
from copy import deepcopy

import torch

import ddnn

_last: dict[str, ddnn.DepthDynamicNetwork] = {}


def fresh(key: str, build: Callable[[], ddnn.DepthDynamicNetwork]) -> ddnn.DepthDynamicNetwork:
    """A copy of what `build` gives, which is called unless the last call here was for the same key."""
    if key not in _last:
        _last.clear()
        torch.manual_seed(0)
        _last[key] = build()
    torch.manual_seed(0)
    return deepcopy(_last[key])
