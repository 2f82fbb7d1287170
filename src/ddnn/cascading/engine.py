"""What runs the nets: PyTorch, or onnxruntime on an export. What is calibrated and reported is the same for both."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor

from ddnn.cascading.costs import Costs
from ddnn.cascading.votes import Opinion
from ddnn_runtime.latency import Work


class Engine(ABC):
    """Nets that can be asked. Subclasses are final."""

    title: str
    """What the engine and its device are called."""
    names: tuple[str, ...]
    """All nets, shallow to deep."""
    suits_the_run: bool
    """Whether its nets are as sure of their answers as those of the run, so that thresholds suit both."""

    @abstractmethod
    def opinions(self, images: Tensor) -> Mapping[str, Opinion]:
        """How sure each net is of each image, and what it says."""

    @abstractmethod
    def logits(self, images: Tensor) -> Mapping[str, np.ndarray]:
        """What each net says of each image, float32 of shape (batch, classes)."""

    @abstractmethod
    def answer(self, name: str, images: Tensor) -> np.ndarray:
        """The class that one net names for each image, int64 of shape (batch,)."""

    @abstractmethod
    def cascade(
        self, images: Tensor, thresholds: Mapping[str, float], last: str, boost: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """A cascade's answers.

        Returns:
            The class that is named, and which net says so, as a place among those of the cascade: int64 of shape
            (batch,) each.
        """

    @abstractmethod
    def macs(self) -> Costs:
        """What each piece costs, in multiply-accumulates for one image."""

    @abstractmethod
    def pieces(self, images: Tensor) -> Sequence[tuple[tuple[str, ...], Work]]:
        """The nets that pass through each piece, and the piece on these images."""

    def wait(self) -> None:
        """Return when all that was asked of a GPU is done; there may be none."""
        return
