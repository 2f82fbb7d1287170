"""Running statistics for a depth that was not trained.

A sub-net that is cut out of a trained net has the right weights and the wrong batch-norm statistics: those of the
full net. One pass over some images sets them (as slimmable networks do after training: Yu and Huang,
arXiv 1903.05134).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ddnn.errors import DataError, DDNNError, first_line
from ddnn.families.modes import in_mode
from ddnn_runtime.untrusted import shown


@torch.no_grad()
def set_statistics(model: nn.Module, keep: set[nn.Module], batches: Iterable[Any]) -> None:
    """Set the running statistics of `model` to the mean over `batches`, but for the modules in `keep`.

    Args:
        model: the net, in any mode; it is left in the mode it was in.
        keep: modules whose statistics are right already (those that other nets use too).
        batches: images, (batch, channels, height, width), or tuples that begin with them.

    Raises:
        DDNNError: if there is no batch.
        DataError: if a batch holds no images, or some that are not finite numbers.
    """
    norms = [m for m in model.modules() if isinstance(m, _BatchNorm) and m.track_running_stats and m not in keep]
    if not norms:
        return
    momenta = {norm: norm.momentum for norm in norms}
    try:
        with in_mode(model, training=False):
            for norm in norms:
                norm.reset_running_stats()
                norm.momentum = None  # a plain mean over all batches
                norm.training = True
            seen = _run(model, batches)
    finally:
        for norm, momentum in momenta.items():
            norm.momentum = momentum
    if not seen:
        raise DDNNError("calibrate_with gave no batch; give an iterable of image batches, such as a DataLoader")


def _run(model: nn.Module, batches: Iterable[Any]) -> int:
    device = next(model.parameters()).device
    count = 0
    for batch in _iterated(batches):
        images: Any = batch[0] if isinstance(batch, Sequence) and len(batch) else batch
        _check(images)
        try:
            model(images.to(device))
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            raise DataError(
                f"calibrate_with gave images of shape {tuple(images.shape)}, which the net does not take: "
                f"{first_line(error)}"
            ) from error
        count += 1
    return count


def _iterated(batches: Any) -> Iterable[Any]:
    if not isinstance(batches, Iterable) or not getattr(batches, "ndim", 1):
        raise DataError(f"calibrate_with must be an iterable of image batches, not {shown(batches)}")
    return batches


def _check(images: Any) -> None:
    """Refuse what would leave statistics that are wrong, and say nothing."""
    usable = isinstance(images, Tensor) and images.layout == torch.strided and not images.is_meta
    if not usable or not images.is_floating_point() or images.ndim < 2:
        found = (
            f"{images.dtype} of shape {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        )
        raise DataError(f"calibrate_with must give batches of normalised floating-point images, not {found}")
    if not images.isfinite().all():
        raise DataError("calibrate_with gave an image with numbers that are not finite; leave it out")
