"""How much of each net's gradient flows into what nets have in common: gradient equilibrium.

Where nets part, backpropagation adds up what they send back, so the first blocks, which all nets have in common, get a
gradient that grows with the number of nets. Li et al. (arXiv 1908.06294, "gradient equilibrium", for classifiers along
one chain) take the mean instead: at the i-th of n forks, counted from 0, the gradient of the branch counts 1/(n-i),
and that of all that goes on (n-i-1)/(n-i). For nets that part in any way that is: of N nets, those that go on together,
n of them, count n/N; they bring the mean of theirs, so what comes out is the mean of all. Past a fork, nets that stand
on the same weights with other values give these weights the sum, as before.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.utils._pytree import tree_map_only


def scaled(value: Any, share: float) -> Any:
    """The same value, whose gradient is multiplied by `share` on its way back.

    Args:
        value: a tensor, or what has tensors in it.
        share: in [0, 1]; with 1, nothing is done.

    Example:
        >>> x = torch.ones(2, requires_grad=True)
        >>> scaled(x, 0.25).sum().backward()
        >>> x.grad
        tensor([0.2500, 0.2500])
    """
    if share == 1:
        return value
    if isinstance(value, Tensor):
        return _Scaled.apply(value, share)
    return tree_map_only(Tensor, lambda tensor: _Scaled.apply(tensor, share), value)


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: FunctionCtx, value: Tensor, share: float) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.share = share  # type: ignore[attr-defined]
        return value.view_as(value)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return gradient * ctx.share, None  # type: ignore[attr-defined]
