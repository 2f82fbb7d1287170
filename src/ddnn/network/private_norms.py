"""Give a sub-net normalisation weights and biases of its own, where it has left the common prefix.

So do slimmable networks for each width (switchable batch normalisation: Yu et al., arXiv 1812.08928) and adaptive depth
networks for each depth (skip-aware normalisation: Kang and Lee, arXiv 2312.16392). It costs few parameters, and lets
the nets scale differently what one set of weights gives them. Inside the common prefix nothing can be private: there a
sub-net computes what the full net computes.
"""

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from torch import nn

from ddnn.network.sharing import detach_parts

NORMS = (
    nn.modules.batchnorm._NormBase,  # batch and instance norm
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)

_NAMED_AS_NORM = re.compile(
    r"(Sync)?(Batch|Instance|Layer|Group|RMS|Simple|Evo|FilterResponse|GlobalResponse)Norm", re.IGNORECASE
)
"""Norms that inherit nothing from torch's: some of timm's, such as `RmsNorm` and `EvoNorm2dS0`, and users' own."""


def is_norm(module: nn.Module) -> bool:
    """Whether a module is a normalisation layer: one of torch's, a subclass of one, or named like one.

    >>> from torchvision.models.convnext import LayerNorm2d
    >>> [is_norm(module) for module in (nn.BatchNorm2d(3), LayerNorm2d(3), nn.Conv2d(3, 3, 1), nn.Sequential())]
    [True, True, False, False]
    """
    return isinstance(module, NORMS) or any(_NAMED_AS_NORM.match(kind.__name__) for kind in type(module).__mro__)


def make_norms_private(subnet: nn.Module, full: nn.Module) -> None:
    """Replace the parameters of `subnet`'s norms by copies, but for those of modules that `full` has too.

    A norm whose tensors are parts of the full net's (DenseNet) gets parameters of its own shape.

    Args:
        subnet: a net that is tied to `full`; it is changed.
        full: the full net.
    """
    shared = set(full.modules())
    copies: dict[int, Any] = {}  # a parameter that two norms of the sub-net have in common stays in common
    for norm in [module for module in subnet.modules() if module not in shared and is_norm(module)]:
        detach_parts(norm)
        for holder in _holders(norm):
            holder._parameters.update(deepcopy(holder._parameters, copies))


def _holders(norm: nn.Module) -> Iterator[nn.Module]:
    """The modules that hold a norm's own parameters: itself, and the parametrizations of a user's."""
    yield norm
    if "parametrizations" in norm._modules:
        yield from norm.get_submodule("parametrizations").modules()
