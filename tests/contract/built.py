"""Networks that several tests in a row begin with: drawing the weights of one takes longer than copying them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from unittest.mock import patch

import torch
from torch import nn

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


@contextmanager
def undrawn() -> Iterator[None]:
    """No initial weights, for models that get others at once."""
    names = ("uniform_", "normal_", "trunc_normal_", "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_")
    with patch.multiple(nn.init, **dict.fromkeys(names, lambda tensor, *_, **__: tensor)):
        yield
