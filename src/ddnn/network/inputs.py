"""Images that nets cannot take: told in one message, once a net has failed on them.

Before a call nothing is looked at, so that choosing a depth costs nothing more; what a net raises for wrong images says
little, and differs from net to net.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError, first_line
from ddnn_runtime.untrusted import shown


def refuse_images(images: Any, error: Exception, network: nn.Module, channels: int, usual: tuple[int, int]) -> None:
    """Raise a DDNNError if it is the images that a network could not take; else return, for there is another reason.

    Args:
        images: what it was called with.
        error: what came of it.
        network: that was called.
        channels: that it takes.
        usual: (height, width) that it is for, in pixels. With these, the reason cannot be the size.
    """
    if isinstance(error, DDNNError | torch.OutOfMemoryError):
        return
    if reason := _misfit(images, next(network.parameters()), channels):
        raise DDNNError(f"images must be a tensor (batch, {channels}, height, width), {reason}") from error
    height, width = images.shape[-2:]
    if (height, width) != usual and isinstance(error, RuntimeError | AssertionError | ValueError | IndexError):
        raise DDNNError(
            f"this network does not take {len(images)} images of {height}x{width} pixels: {first_line(error)}"
        ) from error


def _misfit(images: Any, weight: Tensor, channels: int) -> str:
    """What is wrong with the images; empty if it is nothing but their size."""
    if not isinstance(images, Tensor):
        return f"not {shown(images)}"
    if images.layout != torch.strided or images.ndim != 4 or images.shape[1] != channels:
        return f"not of shape {tuple(images.shape)}"
    if images.device != weight.device:
        return f"on {weight.device} like the network, not on {images.device}"
    if images.dtype != weight.dtype:
        return f"of {weight.dtype} like the weights, not of {images.dtype}"
    return "" if images.numel() else "with one image or more, not empty"
