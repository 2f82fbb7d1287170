"""Activation checkpointing: keep only what goes into a step, and compute the rest again in the backward pass.

Chen et al., arXiv 1604.06174. Computing a step again must not count its batch twice in the running statistics, which
torch's own checkpointing would do.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def recomputed(function: Callable[..., Any], modules: Iterable[nn.Module]) -> Callable[..., Any]:
    """`function` such that the backward pass computes it again, from its arguments.

    Args:
        function: what runs.
        modules: what it runs; their buffers, such as running statistics, change in the first computation only.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm1d(2)
        >>> recomputed(norm, [norm])(torch.randn(8, 2, requires_grad=True)).sum().backward()
        >>> norm.num_batches_tracked
        tensor(1)
    """
    stateful = [inner for module in modules for inner in module.modules() if inner._buffers]
    return partial(
        checkpoint, function, use_reentrant=False, context_fn=lambda: (nullcontext(), _on_copied_buffers(stateful))
    )


@contextmanager
def _on_copied_buffers(modules: Iterable[nn.Module]) -> Iterator[None]:
    own = [(module, dict(module._buffers)) for module in modules]
    for module, buffers in own:
        module._buffers.update({name: None if held is None else held.clone() for name, held in buffers.items()})
    try:
        yield
    finally:
        for module, buffers in own:
            module._buffers.update(buffers)
