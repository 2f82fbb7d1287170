"""What is measured: the nets of a network, by PyTorch or as graphs, or those of an export.

An export needs onnxruntime alone, so that a device which has no torch measures too.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from ddnn.profiles.profile import Condition, NetFacts
from ddnn_runtime.latency import Work


@dataclass(frozen=True)
class Accuracies:
    """How good nets are.

    Args:
        values: accuracy of each net for which it is known, in [0, 1], by its name.
        of: on what they were measured.
    """

    values: Mapping[str, float]
    of: str


class Subject(ABC):
    """Nets that can be measured. Subclasses are final."""

    names: tuple[str, ...]
    """Shallow to deep, the full net last."""
    channels: int
    """Of the images."""
    image_size: tuple[int, int]
    """(height, width) that the nets were made for, in pixels."""
    device: str
    """cpu, cuda or mps."""
    weights: str
    """Checksum of the weights."""
    shared_file_bytes: int
    """Size of the one file with the weights of all nets."""
    packages: tuple[str, ...]
    """Whose versions the figures depend on."""
    usual_runtimes: tuple[str, ...]
    """What is measured where nobody says; all but the first are left out where they cannot run."""

    @property
    def full(self) -> str:
        """The full net."""
        return self.names[-1]

    @abstractmethod
    def accuracies(self) -> Accuracies | None:
        """What is known of how good the nets are."""

    @abstractmethod
    def facts(self, name: str, accuracy: float | None) -> NetFacts:
        """What is true of a net under all conditions."""

    @abstractmethod
    def macs(self, name: str, image_size: tuple[int, int]) -> int:
        """Multiply-accumulates of a net for one image.

        Raises:
            DDNNError: if the net cannot take images of this size.
        """

    @abstractmethod
    def precisions(self, runtime: str) -> tuple[str, ...]:
        """The number formats that a runtime can run these nets in, the usual one first; none if it cannot at all.

        Raises:
            DDNNError: if what the runtime needs is not installed.
        """

    @abstractmethod
    def works(self, condition: Condition, names: Sequence[str]) -> AbstractContextManager[Mapping[str, Work]]:
        """Calls of nets, ready to be timed inside the context.

        Raises:
            DDNNError: if a net cannot be run so.
        """

    @abstractmethod
    def probe(self, name: str, condition: Condition) -> dict[str, Any]:
        """What `ddnn.profiles.probe` needs to load and run a net in a process of its own."""

    def wait(self) -> None:  # noqa: B027  # a CPU has nothing to wait for
        """Return when all that was asked of the device is done."""
