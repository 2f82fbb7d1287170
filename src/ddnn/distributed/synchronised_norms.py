"""Batch norm over the images of all processes, for shares of a batch too small to have statistics of their own.

torch's SyncBatchNorm is another class, which a stock model does not have and which runs on GPUs alone. Here the modules
stay what they are, and only what they compute in training changes, for a while: names, ties and running statistics, a
sub-net's own past the common prefix, are as ever.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


@contextmanager
def synchronised(model: nn.Module) -> Iterator[None]:
    """Have all batch norms of `model` use the statistics of all processes' images, in training mode."""
    norms = {module for module in model.modules() if isinstance(module, _BatchNorm)}
    for norm in norms:
        norm.forward = partial(_forward, norm)  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        for norm in norms:
            del norm.forward  # that of the class shows again


def synchronised_batch_norm(
    images: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, Tensor, Tensor, int]:
    """Batch norm (Ioffe and Szegedy, arXiv 1502.03167) over the images of all processes, which have equally many.

    One all-reduce forward and one backward carry the means and variances. Variances are put together from those within
    and between processes (Chan, Golub and LeVeque, 1979), which loses no precision where the mean is large.

    Args:
        images: (batch, channels, ...), this process's.
        weight: (channels,) or None.
        bias: (channels,) or None.
        eps: added to the variance.

    Returns:
        The normalised images; mean and biased variance over all processes, (channels,); how many values of a channel
        all processes have.
    """
    rank, processes = distributed.get_rank(), distributed.get_world_size()
    over = [0, *range(2, images.ndim)]
    values = images.float()
    variance, mean = torch.var_mean(values, over, correction=0)
    own = torch.stack([mean, variance])
    before, after = own.new_zeros(rank, *own.shape), own.new_zeros(processes - 1 - rank, *own.shape)
    # A sum in which each process fills its own place gathers what all have, and its gradient is a sum again.
    means, variances = _Sum.apply(torch.cat([before, own[None], after])).unbind(1)
    mean = means.mean(0)
    variance = (variances + (means - mean).square()).mean(0)
    shape = [1, -1, *[1] * (images.ndim - 2)]
    result = (values - mean.view(shape)) * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        result = result * weight.view(shape)
    if bias is not None:
        result = result + bias.view(shape)
    return result.to(images.dtype), mean, variance, processes * images.numel() // images.shape[1]


class _Sum(torch.autograd.Function):
    """The sum of what all processes have; its gradient is the sum of theirs."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        del ctx
        total = own.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        del ctx
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


def _forward(norm: _BatchNorm, images: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, images)
    norm._check_input_dim(images)
    result, mean, variance, count = synchronised_batch_norm(images, norm.weight, norm.bias, norm.eps)
    if norm.track_running_stats:
        _track(norm, mean.detach(), variance.detach() * count / (count - 1))
    return result


@torch.no_grad()
def _track(norm: _BatchNorm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    assert norm.num_batches_tracked is not None
    norm.num_batches_tracked.add_(1)
    share = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean.to(norm.running_mean.dtype), share)
    norm.running_var.lerp_(variance.to(norm.running_var.dtype), share)
