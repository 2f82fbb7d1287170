"""A network in PyTorch behind the interface of the runtime, for what runs on either."""

from pathlib import Path

import numpy as np
import torch

from ddnn.data import read_image
from ddnn.errors import DDNNError
from ddnn.families.modes import in_mode
from ddnn.network import DepthDynamicNetwork


class NetworkEngine:
    """Runs the nets of a network where it is; see `ddnn.deployment.prediction.Engine`.

    Args:
        network: any; it stays in its mode.
        max_pixels: images of more are refused; None means what the network was trained with.
    """

    def __init__(self, network: DepthDynamicNetwork, max_pixels: int | None = None) -> None:
        self._network, self._max_pixels = network, max_pixels

    @property
    def full(self) -> str:
        """The full net."""
        return self._network.full

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """In the order of the logits; None if the network was saved without."""
        spec = self._network.data_spec
        return None if spec is None else spec.class_names

    def read(self, *paths: str | Path) -> np.ndarray:
        """Images from files, prepared as in training: float32 of shape (files, channels, height, width).

        Raises:
            UnreadableImageError: if a file is no image; it is named.
            DDNNError: if the network was saved without its data's description.
        """
        spec = self._network.data_spec
        if spec is None:
            raise DDNNError("this network was saved without normalisation; set net.data_spec and save it again")
        spec = spec.allowing(self._max_pixels)
        return np.stack([read_image(path, spec).numpy() for path in paths])

    def __call__(self, images: np.ndarray, subnet: str | None = None) -> np.ndarray:
        """Logits of one net, float32 of shape (batch, classes)."""
        device = next(self._network.parameters()).device
        with in_mode(self._network, training=False), torch.inference_mode():
            return self._network(torch.from_numpy(images).to(device), subnet).float().cpu().numpy()
