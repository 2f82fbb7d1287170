"""Dropout before the last layer of the full net alone.

The full net is the one that can overfit, its sub-nets rather learn too little (AlphaNet, arXiv 2102.07954, regularises
the largest net alone). The classifier is tied and yet a module of each net's own, so a hook on that of the full net
leaves the stock modules as they are, and is gone after the training.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.nn import functional

from ddnn.errors import DDNNError
from ddnn.network.depth_dynamic import DepthDynamicNetwork


@contextmanager
def dropout_before_classifier(network: DepthDynamicNetwork, share: float) -> Iterator[None]:
    """Drop so much of what goes into the full net's last layer, while the network is in training mode.

    Args:
        network: whose full net is meant.
        share: in [0, 1); 0 does nothing.

    Raises:
        DDNNError: the full net has no last linear layer that is its own.
    """
    if share == 0:
        yield
        return

    def drop(module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        return (functional.dropout(given[0], share, module.training), *given[1:])

    handle = classifier(network).register_forward_pre_hook(drop)
    try:
        yield
    finally:
        handle.remove()


def classifier(network: DepthDynamicNetwork) -> nn.Linear:
    """The last linear layer of the full net.

    Raises:
        DDNNError: there is none with one output a class, or it is the very module of a sub-net.
    """
    others = {module for name in network.names[:-1] for module in network[name].modules()}
    found = [
        module
        for module in network[network.full].modules()
        if isinstance(module, nn.Linear) and module.out_features == network.num_classes and module not in others
    ]
    if not found:
        raise DDNNError(
            f"full_dropout is not possible for {network.full}: it has no last linear layer of its own with "
            f"{network.num_classes} outputs; leave it out"
        )
    return found[-1]
