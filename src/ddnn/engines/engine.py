"""Nets that can be asked, whichever engine runs them: PyTorch, or onnxruntime on an export.

A call names its net, and there is no other state, so calls from several threads with different depths do not meet: a
server takes a batch to one depth with a call, or to several depths at once with `joint`, and fills its table of
latencies from `work`. Nothing here imports torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ddnn_runtime.latency import Work

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from ddnn_runtime.answers import Answers

Images: TypeAlias = "np.ndarray | Tensor"
"""A batch as nets take it, (batch, channels, height, width), prepared as in training. What lies on the engine's device
already is not copied."""
Opinion: TypeAlias = "tuple[np.ndarray, np.ndarray]"
"""Of a batch: how sure a net is, float32 of shape (batch,), and which classes it names, int64 of shape (batch,)."""
Nets: TypeAlias = tuple[str, ...]


class Engine(ABC):
    """Nets that can be asked. Subclasses are final.

    All logits that are returned are float32, as arrays in the memory of the processor.
    """

    title: str
    """What the engine is called, with what its answers depend on."""
    names: Nets
    """All nets, shallow to deep, the full net last."""
    device: str
    """cpu, cuda or mps."""
    precision: str
    """Number format of the weights, such as fp32. Where it is another, nets are not as sure of their answers as in
    training."""
    input_shape: tuple[int, int, int]
    """(channels, height, width) of the images that the nets were made for."""
    class_names: tuple[str, ...] | None
    """In the order of the logits; None if the network was saved without."""

    @property
    def full(self) -> str:
        """The full net."""
        return self.names[-1]

    @abstractmethod
    def read(self, *paths: str | Path) -> np.ndarray:
        """Images from files, prepared as in training: float32 of shape (files, channels, height, width).

        Raises:
            UnreadableImageError: if a file is no image; it is named.
            DDNNError: if the network was saved without its data's description.
        """

    def load(self, *names: str) -> None:  # noqa: B027  # a network is in memory already
        """Get nets ready now rather than when they are first called; without names, all."""

    @abstractmethod
    def __call__(self, images: Images, name: str | None = None) -> np.ndarray:
        """Logits of one net, (batch, classes); None means the full net.

        Raises:
            DDNNError: if there is no such net.
        """

    @abstractmethod
    def joint(self, images: Images, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """Logits of several nets for the same images, (batch, classes) each; None means all nets.

        What they have in common is computed once where the engine can.
        """

    @abstractmethod
    def opinions(self, images: Images) -> Mapping[str, Opinion]:
        """How sure each net is of each image, and what it says.

        How sure it is comes from the same operations as in `cascade`, so that thresholds meet the same numbers there.
        """

    @abstractmethod
    def cascade(
        self, images: Images, thresholds: Mapping[str, float], last: str | None = None, boost: float = 0.0
    ) -> Answers:
        """Let the shallow nets answer where they are sure, and deeper ones the rest.

        Args:
            images: a batch.
            thresholds: for each net that is asked before the last, the confidence from which its answer is taken.
            last: the net that answers what is left; None means the full net.
            boost: share of the logits of the net asked before that is added to a net's own.
        """

    @abstractmethod
    def work(self, images: Images, name: str) -> Work:
        """A call of one net on these images to be timed, whose result may stay where it is; see `wait`."""

    @abstractmethod
    def piece_macs(self) -> tuple[tuple[Nets, float], ...]:
        """The nets that pass through each piece of the nets, and its multiply-accumulates for one image."""

    @abstractmethod
    def piece_works(self, images: Images) -> Sequence[tuple[Nets, Work]]:
        """The nets that pass through each piece of the nets, and the piece on these images, to be timed."""

    def wait(self) -> None:  # noqa: B027  # a CPU has nothing to wait for
        """Return when all that was asked of a GPU is done."""
