"""The nets of an export, run by onnxruntime."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ddnn.cascading.costs import Costs
from ddnn.cascading.engine import Engine
from ddnn.cascading.votes import Opinion
from ddnn_runtime import Runtime
from ddnn_runtime.answers import confidence
from ddnn_runtime.latency import Work
from ddnn_runtime.manifest import INPUT, Manifest
from ddnn_runtime.sessions import Sessions


class OnnxEngine(Engine):
    """An export.

    Args:
        directory: what `ddnn export RUN --format onnx` wrote.
        threads: of a call.

    Raises:
        DDNNError: if it cannot be opened.
    """

    def __init__(self, directory: Path, threads: int) -> None:
        self._directory, self._threads = directory, threads
        self._runtime = Runtime(directory, threads=threads)
        self._runtime.load()
        self.manifest: Manifest = self._runtime.manifest
        self.title = f"onnxruntime, {self.manifest.precision}"
        self.names: tuple[str, ...] = self.manifest.names
        self.suits_the_run: bool = self.manifest.precision == "fp32"

    def opinions(self, images: Tensor) -> dict[str, Opinion]:
        """See `Engine.opinions`."""
        found = {}
        for name in self.names:
            logits = self._runtime(images.numpy(), name)
            found[name] = (confidence(logits), logits.argmax(axis=1))
        return found

    def logits(self, images: Tensor) -> dict[str, np.ndarray]:
        """See `Engine.logits`."""
        return {name: self._runtime(images.numpy(), name) for name in self.names}

    def answer(self, name: str, images: Tensor) -> np.ndarray:
        """See `Engine.answer`."""
        return self._runtime(images.numpy(), name).argmax(axis=1)

    def cascade(
        self, images: Tensor, thresholds: Mapping[str, float], last: str, boost: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.cascade`."""
        answers = self._runtime.cascade(images.numpy(), thresholds, last, boost)
        return answers.logits.argmax(axis=1), answers.answered_by

    def macs(self) -> Costs:
        """See `Engine.macs`; as the manifest has them."""
        if not self.manifest.pieces:
            return Costs("macs", tuple(((name,), float(net.macs)) for name, net in self.manifest.nets.items()))
        return Costs("macs", tuple((piece.nets, float(piece.macs)) for piece in self.manifest.pieces))

    def pieces(self, images: Tensor) -> Sequence[tuple[tuple[str, ...], Work]]:
        """See `Engine.pieces`."""
        if not self.manifest.pieces:
            return [((name,), partial(self.answer, name, images)) for name in self.names]
        sessions = Sessions(self._directory, self._threads, self._runtime.share_weights, self._runtime.manifest)
        values: dict[str, Any] = {INPUT: images.numpy()}
        works: list[tuple[tuple[str, ...], Work]] = []
        for piece in self.manifest.pieces:
            feeds = {name: values[name] for name in piece.inputs}
            work = partial(sessions[piece.graph.file].run, list(piece.outputs), feeds)
            values |= zip(piece.outputs, work(), strict=True)
            works.append((piece.nets, work))
        return works
