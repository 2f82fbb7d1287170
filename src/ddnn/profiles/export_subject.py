"""The nets of an export, run by onnxruntime. Nothing here imports torch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ddnn.engines.onnx_engine import OnnxEngine
from ddnn.errors import DDNNError
from ddnn.profiles.profile import Condition, NetFacts
from ddnn.profiles.subject import Accuracies, Subject
from ddnn_runtime.latency import Work


class ExportSubject(Subject):
    """An export.

    Args:
        directory: of the export.
        device: auto or cpu.

    Raises:
        ModelFileError: if it is damaged.
        DDNNError: if it is not one for onnxruntime, that is not installed, or another device is wanted.
    """

    packages: tuple[str, ...] = ("onnxruntime", "numpy")
    usual_runtimes: tuple[str, ...] = ("onnx",)
    device = "cpu"

    def __init__(self, directory: Path, device: str) -> None:
        if device not in ("auto", "cpu"):
            raise DDNNError(f"an export runs on the CPU here, not on {device}; leave out --device")
        self._directory = directory
        self._manifest = OnnxEngine(directory).manifest
        self.names: tuple[str, ...] = self._manifest.names
        channels, *size = self._manifest.input_shape
        self.channels: int = channels
        self.image_size: tuple[int, int] = (size[0], size[1])
        shared = self._manifest.weights
        self.weights: str = self._manifest.checksum
        self.shared_file_bytes: int = 0 if shared is None else shared.bytes

    def accuracies(self) -> Accuracies | None:
        """Those of the run, as the export says them."""
        known = {name: net.accuracy for name, net in self._manifest.nets.items() if net.accuracy is not None}
        return Accuracies(known, "test images, as the export says") if known else None

    def facts(self, name: str, accuracy: float | None) -> NetFacts:
        """As the manifest has them; the file is the graph."""
        net = self._manifest.nets[name]
        return NetFacts(net.depth, net.parameters, net.graph.bytes, accuracy)

    def macs(self, name: str, image_size: tuple[int, int]) -> int:
        """As the manifest has them."""
        if image_size != self.image_size:
            raise DDNNError(
                f"an export takes images of one size, here {self.image_size[0]}x{self.image_size[1]} pixels, not "
                f"{image_size[0]}x{image_size[1]}; leave out the image size, or profile the run itself"
            )
        return self._manifest.nets[name].macs

    def precisions(self, runtime: str) -> tuple[str, ...]:
        """That of the export."""
        return (self._manifest.precision,) if runtime == "onnx" else ()

    @contextmanager
    def works(self, condition: Condition, names: Sequence[str]) -> Iterator[Mapping[str, Work]]:
        """Calls of the graphs."""
        yield graph_works(self._directory, condition, names)

    def probe(self, name: str, condition: Condition) -> dict[str, Any]:
        """The export itself."""
        return {"export": str(self._directory)}


def graph_works(directory: Path, condition: Condition, names: Sequence[str]) -> dict[str, Work]:
    """Calls of the nets of an export on noise, under a condition."""
    import numpy as np

    engine = OnnxEngine(directory, condition.threads)
    engine.load(*names)
    shape = (condition.batch_size, engine.input_shape[0], *condition.image_size)
    images = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    return {name: engine.work(images, name) for name in names}
