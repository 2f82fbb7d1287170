"""Activation checkpointing: keep only what goes into a step, and compute the rest again in the backward pass.

Chen et al., arXiv 1604.06174. Computing a step again must not count its batch twice in the running statistics, which
torch's own checkpointing would do.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.checkpoint import checkpoint


def recomputed(function: Callable[..., Any], modules: Iterable[nn.Module]) -> Callable[..., Any]:
    """`function` such that the backward pass computes it again, from its arguments.

    Args:
        function: what runs.
        modules: what it runs; their running statistics change in the first computation only.

    Example:
        >>> import torch
        >>> norm = nn.BatchNorm1d(2)
        >>> recomputed(norm, [norm])(torch.randn(8, 2, requires_grad=True)).sum().backward()
        >>> norm.num_batches_tracked
        tensor(1)
    """
    norms = [inner for module in modules for inner in module.modules() if isinstance(inner, _NormBase)]
    return partial(
        checkpoint, function, use_reentrant=False, context_fn=lambda: (nullcontext(), _on_copied_statistics(norms))
    )


@contextmanager
def _on_copied_statistics(norms: Iterable[nn.Module]) -> Iterator[None]:
    own = [(norm, dict(norm._buffers)) for norm in norms]
    for norm, buffers in own:
        norm._buffers.update(
            {name: None if buffer is None else torch.clone(buffer) for name, buffer in buffers.items()}
        )
    try:
        yield
    finally:
        for norm, buffers in own:
            norm._buffers.update(buffers)
