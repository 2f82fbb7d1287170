"""What is measured: the nets of a network, by PyTorch or as graphs, or those of an export.

An export needs onnxruntime alone, so that a device which has no torch measures too.
"""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ddnn.errors import DDNNError
from ddnn.profiles.profile import Condition, NetFacts
from ddnn_runtime.latency import Work
from ddnn_runtime.manifest import is_export


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


@contextmanager
def open_subject(run: Path, device: str) -> Iterator[Subject]:
    """What is at a path: a run directory or a saved network, or an export.

    Args:
        run: the directory.
        device: where to run it: auto, cpu, cuda or mps.

    Raises:
        ModelFileError: if it holds neither, or is damaged.
        DDNNError: if this machine has no such device.
    """
    with TemporaryDirectory(prefix="ddnn-") as workspace:
        if is_export(run):
            from ddnn.profiles.export_subject import ExportSubject

            yield ExportSubject(run, device)
        else:
            from ddnn.profiles.network_subject import open_network

            yield open_network(run, device, Path(workspace))


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_threads(threads: int) -> None:
    """Raise a DDNNError if there are fewer cores than threads."""
    if threads > cores():
        raise DDNNError(f"threads must be at most the {cores()} cores of this machine, not {threads}")
