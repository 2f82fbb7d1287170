"""Whether an export gives what PyTorch gives: checked before it is handed over."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddnn.errors import DDNNError
from ddnn.families.modes import in_mode
from ddnn.network import DepthDynamicNetwork
from ddnn_runtime.answers import cascade
from ddnn_runtime.manifest import INPUT, Manifest
from ddnn_runtime.sessions import Sessions

TOLERANCE = 1e-4
"""Largest difference of a logit, in units of the largest logit where that is above one."""
HALF_TOLERANCE = 2e-2
"""The same in half precision, whose numbers have 11 bits: a rounding is 5e-4, and a deep net has some hundred."""


def check_onnx(network: DepthDynamicNetwork, directory: Path, manifest: Manifest, images: Tensor) -> float:
    """Check every graph with onnx's checker, and every net, whole and in pieces, against PyTorch.

    Args:
        network: what was exported.
        directory: the export.
        manifest: of it.
        images: (batch, channels, height, width), prepared as in training.

    Returns:
        The largest difference of a logit.

    Raises:
        DDNNError: if a graph is not valid, or differs by more than rounding.
    """
    import onnx

    for graph in manifest.files:
        if graph != manifest.weights:
            onnx.checker.check_model(str(directory / graph.file))
    sessions, given = Sessions(directory, threads=None, share_weights=False), images.numpy()
    largest, tolerance = 0.0, HALF_TOLERANCE if manifest.precision == "fp16" else TOLERANCE
    for name, expected in _logits(network, images).items():
        (whole,) = sessions[manifest.nets[name].graph.file].run(None, {INPUT: given})
        largest = max(largest, _difference(name, whole, expected, tolerance))
        if manifest.pieces:
            pieces = cascade(manifest, sessions, given, last=name)
            largest = max(largest, _difference(f"{name} in pieces", pieces.logits, expected, tolerance))
    return largest


def check_torch(
    network: DepthDynamicNetwork, load: Callable[[str], Callable[[Tensor], Tensor]], images: Tensor
) -> float:
    """Check every program against the net that it was made from; see `check_onnx`."""
    largest = 0.0
    for name, expected in _logits(network, images).items():
        with torch.no_grad():
            largest = max(largest, _difference(name, load(name)(images).numpy(), expected, TOLERANCE))
    return largest


@torch.no_grad()
def _logits(network: DepthDynamicNetwork, images: Tensor) -> dict[str, Any]:
    with in_mode(network, training=False):
        return {name: network(images, name).numpy() for name in network.names}


def _difference(name: str, actual: Any, expected: Any, tolerance: float) -> float:
    difference = float(np.abs(actual - expected).max())
    allowed = tolerance * max(1.0, float(np.abs(expected).max()))
    if not difference <= allowed:  # nor if it is not a number
        raise DDNNError(
            f"the export of {name} does not agree with PyTorch: logits differ by {difference:.2g}, more than "
            f"{allowed:.2g}; nothing was written"
        )
    return difference
