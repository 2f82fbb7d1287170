"""Run an export on a device: any depth, chosen at each call, with onnxruntime and numpy alone.

Nothing here imports torch. There is no state to switch: a call names its net, so calls from several threads with
different depths do not meet.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from ddnn_runtime.answers import Answers, cascade
from ddnn_runtime.cores import cores
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.errors import DataError, DDNNError, near
from ddnn_runtime.geometry import MOST_PIXELS
from ddnn_runtime.latency import interleaved_for
from ddnn_runtime.manifest import INPUT, Manifest
from ddnn_runtime.pixels import normalise, prepare_image, read_image
from ddnn_runtime.sessions import Sessions

SECONDS = 2.0
"""How long `latency` takes; slow nets are called ten times each at least."""


class Runtime:
    """The nets of an export.

    Args:
        directory: what `ddnn export RUN --format onnx` wrote.
        threads: for one call; None means as many as there are cores.
        share_weights: keep the weights once in memory for all nets that are open, rather than a copy for each in an
            order that suits the processor. Less memory for more time (docs/deployment.md has figures); None means
            where that saves much and costs little, as the export says.
        max_pixels: `read` refuses images of more, before they are decoded; None means as many as in training.

    Raises:
        ModelFileError: if the export is incomplete or damaged.
        DDNNError: if it is not one for onnxruntime, or that is not installed.

    Example:
        ```python
        runtime = Runtime("export")
        images = runtime.read("cat.jpg", "dog.jpg")  # (2, channels, height, width), prepared as in training
        logits = runtime(images, runtime.best_within(20))
        ```
    """

    def __init__(
        self,
        directory: str | Path,
        *,
        threads: int | None = None,
        share_weights: bool | None = None,
        max_pixels: int | None = None,
    ) -> None:
        if threads is not None and threads < 1:
            raise DDNNError(f"threads must be at least 1, not {threads}")
        if max_pixels is not None and not 1 <= max_pixels <= MOST_PIXELS:
            raise DDNNError(f"max_pixels must be 1 to {MOST_PIXELS}, not {max_pixels}")
        self.directory: Path = Path(directory)
        self.threads: int = cores() if threads is None else threads
        self.manifest: Manifest = Manifest.read(self.directory)
        if self.manifest.kind != "onnx":
            raise DDNNError(f"{directory} holds torch.export programs; export with --format onnx for the runtime")
        self.share_weights: bool = self.manifest.sharing_pays if share_weights is None else share_weights
        self._sessions = Sessions(self.directory, threads, self.share_weights, self.manifest)
        self._max_pixels = max_pixels
        self._latencies: dict[int, dict[str, float]] = {}
        self._timing = threading.Lock()

    @property
    def names(self) -> tuple[str, ...]:
        """All nets, shallow to deep; the full net is the last."""
        return self.manifest.names

    @property
    def full(self) -> str:
        """The full net."""
        return self.manifest.full

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """In the order of the logits; None if the network was saved without."""
        return None if self.manifest.data is None else self.manifest.data.class_names

    def __call__(self, images: Any, subnet: str | None = None) -> np.ndarray:
        """Logits of one net.

        Args:
            images: (batch, channels, height, width): floating-point numbers, normalised, or uint8 pixels, which are
                normalised here.
            subnet: its name; None means the full net.

        Returns:
            float32 of shape (batch, classes).

        Raises:
            DDNNError: if there is no such net, or the images have another shape or type, or numbers that are not
                finite.
        """
        session = self._sessions[self._file(subnet)]
        return session.run(None, {INPUT: self.checked(images)})[0]

    def load(self, *names: str) -> None:
        """Open nets now rather than when they are first called; without names, all, and the pieces of a cascade that
        was calibrated: then the files are needed no more."""
        pieces = () if names or self.manifest.cascade is None else self.manifest.pieces
        for file in (*map(self._file, names or self.names), *(piece.graph.file for piece in pieces)):
            _ = self._sessions[file]

    @property
    def loaded(self) -> tuple[str, ...]:
        """The nets that are open."""
        opened = self._sessions.loaded
        return tuple(name for name in self.names if self.manifest.nets[name].graph.file in opened)

    def read(self, *paths: str | Path) -> np.ndarray:
        """Images from files, prepared as in training: float32 of shape (files, channels, height, width).

        Raises:
            UnreadableImageError: if a file is no image; it is named.
            DDNNError: if the network was saved without its data's description.
        """
        spec = self._reading()
        if not paths:
            raise DDNNError("there is no image to read; give at least one file")
        return np.stack([read_image(path, spec) for path in paths])

    def prepare(self, encoded: bytes, name: str = "the image") -> np.ndarray:
        """As `read`, of one file's content: float32 of shape (1, channels, height, width).

        Args:
            encoded: the content, as it came over a network for example.
            name: what an error calls the image.
        """
        return prepare_image(encoded, name, self._reading())[None]

    def cascade(
        self,
        images: Any,
        thresholds: Mapping[str, float] | None = None,
        last: str | None = None,
        boost: float | None = None,
    ) -> Answers:
        """Let the shallow nets answer where they are sure, and deeper ones the rest.

        What the nets have in common is computed once, as `DepthDynamicNetwork.cascade` does, if the export has the
        pieces for it.

        Args:
            images: as in a call.
            thresholds: for each net that is asked before the last, the confidence (largest softmax probability) from
                which its answer is taken. With neither thresholds nor `last`, those that were calibrated for the run.
            last: the net that answers what is left; None means the full net.
            boost: share, in [0, 1], of the logits of the net asked before that is added to a net's own. None means
                that of the calibrated cascade where its thresholds are taken, and 0 with others.

        Raises:
            DDNNError: if there are no thresholds, or they fit no nets, or the images do not fit.
        """
        return cascade(self.manifest, self._sessions, self.checked(images), thresholds, last, boost)

    def latency(self, batch: int = 1) -> dict[str, float]:
        """Milliseconds of one call of each net on this machine, the median of many calls in turn.

        Measured when it is first asked for, in about two seconds, and kept.

        Args:
            batch: images in a call.
        """
        if batch < 1:
            raise DDNNError(f"batch must be at least 1, not {batch}")
        with self._timing:  # two measurements at once would disturb each other
            if batch not in self._latencies:
                self._latencies[batch] = self._measured(batch)
            return dict(self._latencies[batch])

    def best_within(self, milliseconds: float, batch: int = 1) -> str:
        """The best net whose calls take at most so long on this machine: the most accurate one, or the deepest where
        accuracies are not known.

        Args:
            milliseconds: the limit for one call.
            batch: images in a call.

        Raises:
            DDNNError: if no net is that fast; the message names the fastest.
        """
        latencies = self.latency(batch)
        fitting = [name for name in self.names if latencies[name] <= milliseconds]
        if not fitting:
            fastest = min(latencies, key=latencies.__getitem__)
            raise DDNNError(
                f"no net answers within {milliseconds:g} ms here; the fastest, {fastest}, takes "
                f"{latencies[fastest]:.3g} ms for a batch of {batch}"
            )
        accuracies = {name: self.manifest.nets[name].accuracy for name in fitting}
        known = {name: accuracy for name, accuracy in accuracies.items() if accuracy is not None}
        return max(known, key=known.__getitem__) if len(known) == len(fitting) else fitting[-1]

    def fastest_within(self, milliseconds: float, batch: int = 1) -> str:
        """The old name of `best_within`, which gives the most accurate net that is fast enough, not the fastest."""
        return self.best_within(milliseconds, batch)

    def checked(self, images: Any) -> np.ndarray:
        """What a call makes of its images: float32 of the right shape, normalised, one after the other in memory.

        Raises:
            DDNNError: as a call.
        """
        shape = self.manifest.input_shape
        try:
            given = np.asarray(images)
        except ValueError as error:  # lists of several lengths
            raise DataError(f"images must be one array: {error}") from None
        wanted = f"(batch, {', '.join(map(str, shape))})"
        if given.ndim != 4 or given.shape[1:] != shape:
            hint = "; put one image into a batch with images[None]" if given.shape == shape else ""
            raise DataError(f"images must have the shape {wanted}, not {given.shape}{hint}")
        if not len(given):
            raise DataError(f"there is no image: the batch has the shape {given.shape}")
        if given.dtype == np.uint8 and self.manifest.data is not None:
            return normalise(given, self.manifest.data)
        if not np.issubdtype(given.dtype, np.floating):
            pixels = ", or uint8 pixels" if self.manifest.data is not None else ""
            raise DataError(f"images must be normalised floating-point numbers{pixels}, not {given.dtype}")
        with np.errstate(over="ignore"):
            converted = np.ascontiguousarray(given, dtype=np.float32)
        finite = np.isfinite(converted).all(axis=(1, 2, 3))
        if not finite.all():  # the largest of logits that are no numbers would be a class all the same
            raise DataError(f"image {finite.argmin()} of the batch has numbers that are not finite in float32")
        return converted

    def _reading(self) -> DataSpec:
        """How images are prepared."""
        if self.manifest.data is None:
            raise DDNNError(
                f"{self.directory} does not say how images are prepared: the network was saved without class names "
                "and normalisation; give prepared images, or set net.data_spec and export again"
            )
        return self.manifest.data.allowing(self._max_pixels)

    def _measured(self, batch: int) -> dict[str, float]:
        images = np.zeros((batch, *self.manifest.input_shape), dtype=np.float32)
        calls = {name: partial(self, images, name) for name in self.names}
        return {name: 1e3 * median(taken) for name, taken in interleaved_for(calls, SECONDS).items()}

    def _file(self, name: str | None) -> str:
        net = self.manifest.nets.get(self.full if name is None else name)
        if net is None:
            raise DDNNError(f"this export has no sub-net {name!r}; {near(str(name), self.names)}")
        return net.graph.file
