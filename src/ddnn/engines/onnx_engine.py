"""The nets of an export, run by onnxruntime on the CPU. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddnn.engines.engine import Engine, Images, Nets, Opinion
from ddnn_runtime.answers import Answers, confidence
from ddnn_runtime.latency import Work
from ddnn_runtime.manifest import INPUT, Manifest
from ddnn_runtime.runtime import Runtime
from ddnn_runtime.sessions import Sessions

if TYPE_CHECKING:
    import numpy as np


class OnnxEngine(Engine):
    """An export.

    Args:
        directory: what `ddnn export RUN --format onnx` wrote.
        threads: of a call; None means as many as there are cores.
        max_pixels: `read` refuses images of more; None means as many as in training.

    Raises:
        ModelFileError: if it is damaged.
        DDNNError: if it is not one for onnxruntime, or that is not installed.
    """

    device = "cpu"

    def __init__(self, directory: Path, threads: int | None = None, max_pixels: int | None = None) -> None:
        self._directory, self._threads = directory, threads
        self._runtime = Runtime(directory, threads=threads, max_pixels=max_pixels)
        self.manifest: Manifest = self._runtime.manifest
        self.names: tuple[str, ...] = self.manifest.names
        self.precision: str = self.manifest.precision
        self.title: str = f"onnxruntime, {self.precision}"
        self.input_shape: tuple[int, int, int] = self.manifest.input_shape
        self.class_names: tuple[str, ...] | None = self._runtime.class_names

    def read(self, *paths: str | Path) -> np.ndarray:
        """See `Engine.read`."""
        return self._runtime.read(*paths)

    def load(self, *names: str) -> None:
        """See `Engine.load`; a graph that is damaged is found then."""
        self._runtime.load(*names)

    def __call__(self, images: Images, name: str | None = None) -> np.ndarray:
        """See `Engine.__call__`."""
        return self._runtime(images, name)

    def joint(self, images: Images, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """See `Engine.joint`; one net after the other, each from the images on."""
        found = {name: self._runtime(images, name) for name in (self.names if names is None else names)}
        return {name: found[name] for name in self.names if name in found}

    def opinions(self, images: Images) -> dict[str, Opinion]:
        """See `Engine.opinions`."""
        return {name: (confidence(logits), logits.argmax(axis=1)) for name, logits in self.joint(images).items()}

    def cascade(
        self, images: Images, thresholds: Mapping[str, float], last: str | None = None, boost: float = 0.0
    ) -> Answers:
        """See `Engine.cascade`."""
        return self._runtime.cascade(images, thresholds, last, boost)

    def work(self, images: Images, name: str) -> Work:
        """See `Engine.work`."""
        return partial(self._runtime, _array(images), name)

    def piece_macs(self) -> tuple[tuple[Nets, float], ...]:
        """See `Engine.piece_macs`; as the manifest has them."""
        if not self.manifest.pieces:
            return tuple(((name,), float(net.macs)) for name, net in self.manifest.nets.items())
        return tuple((piece.nets, float(piece.macs)) for piece in self.manifest.pieces)

    def piece_works(self, images: Images) -> Sequence[tuple[Nets, Work]]:
        """See `Engine.piece_works`."""
        if not self.manifest.pieces:
            return [((name,), self.work(images, name)) for name in self.names]
        sessions = Sessions(self._directory, self._threads, self._runtime.share_weights, self.manifest)
        values: dict[str, Any] = {INPUT: _array(images)}
        works: list[tuple[Nets, Work]] = []
        for piece in self.manifest.pieces:
            feeds = {name: values[name] for name in piece.inputs}
            work = partial(sessions[piece.graph.file].run, list(piece.outputs), feeds)
            values |= zip(piece.outputs, work(), strict=True)
            works.append((piece.nets, work))
        return works


def _array(images: Images) -> np.ndarray:
    """Without a copy, of a tensor on the CPU too."""
    import numpy as np

    return np.asarray(images)
