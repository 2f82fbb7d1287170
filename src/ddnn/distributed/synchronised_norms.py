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
from torch.autograd.function import once_differentiable
from torch.nn import functional
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

    One message forward and one backward carry two numbers a channel. The gradients of `weight` and `bias` are those of
    this process's images alone, which whoever trains adds up or averages as it does with any weight.

    Args:
        images: (batch, channels, ...), this process's.
        weight: (channels,) or None.
        bias: (channels,) or None.
        eps: added to the variance.

    Returns:
        The normalised images; mean and biased variance over all processes, (channels,), in at least single precision
        and without a gradient; how many values of a channel all processes have.
    """
    precision = torch.promote_types(images.dtype, torch.float32)
    weight, bias = (None if own is None else own.to(precision) for own in (weight, bias))
    result, mean, variance = _OverAllProcesses.apply(images.to(precision), weight, bias, eps)
    return result.to(images.dtype), mean, variance, _count(images)


class _OverAllProcesses(torch.autograd.Function):
    """Few passes over memory, each by a kernel of torch's own batch norm that runs on CPUs and on GPUs."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> tuple[Tensor, ...]:
        # On a CPU, torch.var_mean takes four times as long as the whole of torch's batch norm.
        mean, variance = _of_all(*torch.batch_norm_update_stats(images, None, None, 0))
        ctx.save_for_backward(images, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return functional.batch_norm(images, mean, variance, weight, bias, eps=eps), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Ioffe and Szegedy, section 3, put together: dx = w / s (dy - mean(dy) - y mean(y dy)).

        Here y are the normalised values before weight and bias, s their standard deviation, and both means are over
        all processes. What y takes part in is the normalisation again, with another weight and bias.
        """
        images, weight, mean, variance = ctx.saved_tensors
        by_images, by_weight, by_bias, _ = ctx.needs_input_grad
        inverse = (variance + ctx.eps).rsqrt()
        sums = torch.ops.aten.native_batch_norm_backward(
            gradient, images, None, None, None, mean, inverse, True, ctx.eps, [False, True, True]
        )[1:]
        own = None
        if by_images:
            total = torch.stack(sums)
            distributed.all_reduce(total)
            factor = inverse if weight is None else inverse * weight
            slope, offset = total * (-factor / _count(images))
            own = functional.batch_norm(images, mean, variance, slope, offset, eps=ctx.eps)
            own.addcmul_(gradient, factor.view(-1, *[1] * (images.ndim - 2)))
        return own, sums[0] if by_weight else None, sums[1] if by_bias else None, None


def _of_all(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and biased variance over all processes, put together from those within and between processes.

    Chan, Golub and LeVeque (1979); this loses no precision where the mean is large.
    """
    own = torch.stack([mean, variance])
    every = own.new_empty(distributed.get_world_size(), *own.shape)
    distributed.all_gather(list(every), own)
    means, variances = every.unbind(1)
    mean = means.mean(0)
    return mean, (variances + (means - mean).square()).mean(0)


def _count(images: Tensor) -> int:
    """How many values of a channel all processes have."""
    return distributed.get_world_size() * images.numel() // images.shape[1]


def _forward(norm: _BatchNorm, images: Tensor) -> Tensor:
    if not norm.training:
        return type(norm).forward(norm, images)
    norm._check_input_dim(images)
    result, mean, variance, count = synchronised_batch_norm(images, norm.weight, norm.bias, norm.eps)
    if norm.track_running_stats:
        _track(norm, mean, variance * count / (count - 1))
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
