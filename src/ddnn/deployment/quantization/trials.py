"""What a choice of blocks does to the nets: accuracy on held-out images, and the time of a call."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import onnx

from ddnn.deployment.quantization.float_net import FloatNet
from ddnn.deployment.quantization.images import Labelled
from ddnn_runtime.latency import interleaved_for, latencies
from ddnn_runtime.manifest import INPUT
from ddnn_runtime.sessions import open_session

SECONDS = 1.0
"""For one measurement of time."""


@dataclass(frozen=True)
class Result:
    """What a net gives with some of its blocks in int8.

    Args:
        accuracy: share of images that are labelled right, in [0, 1].
        drop: how much less that is than the float net's.
        divergence: mean Kullback-Leibler divergence of its posterior from the float net's, in nats. It tells apart
            what changes the labels of few images or none.
    """

    accuracy: float
    drop: float
    divergence: float


class Trials:
    """Tries choices of blocks; what has been tried is not tried again.

    Args:
        nets: by name, shallow to deep, the full net last.
        deciding: labelled images.
        threads: for a call; None means as many as there are cores.
    """

    def __init__(self, nets: dict[str, FloatNet], deciding: Sequence[Labelled], threads: int | None) -> None:
        self.nets = nets
        self.threads = threads
        self._images = [images for images, _ in deciding]
        self._labels = np.concatenate([labels for _, labels in deciding])
        self._float = {name: self._logits(net.graph) for name, net in nets.items()}
        self._float_seconds: list[float] = []
        self._known: dict[tuple[str, frozenset[str]], Result] = {}

    @property
    def example(self) -> np.ndarray:
        """One image, (1, channels, height, width)."""
        return self._images[0][:1]

    @property
    def blocks(self) -> tuple[str, ...]:
        """All blocks, from the input to the output of the full net; then those that it lacks, if any."""
        return tuple(dict.fromkeys(block for net in reversed(self.nets.values()) for block in net.blocks))

    def result(self, name: str, blocks: Collection[str]) -> Result:
        """What a net gives with those of these blocks in int8 that it has."""
        net = self.nets[name]
        own = frozenset(blocks) & frozenset(net.blocks)
        if (name, own) not in self._known:
            self._known[name, own] = self._compare(name, self._logits(net.quantized(own)))
        return self._known[name, own]

    def results(self, blocks: Collection[str]) -> dict[str, Result]:
        """What every net gives."""
        return {name: self.result(name, blocks) for name in self.nets}

    def latency(self, blocks: Collection[str]) -> float:
        """Milliseconds of one call of the full net for one image.

        The choice and the float net take turns, and the ratio counts: so choices that are measured one after the other
        can be compared, however the machine's load changes. The float net's own time is the median of all its calls
        so far.
        """
        full = list(self.nets.values())[-1]
        graphs = {"float": full.graph, "choice": full.quantized(blocks)}
        sessions = {name: open_session(graph.SerializeToString(), self.threads) for name, graph in graphs.items()}
        calls = {name: caller(session, self.example) for name, session in sessions.items()}
        seconds = interleaved_for(calls, SECONDS)
        self._float_seconds += seconds["float"]
        return 1e3 * median(self._float_seconds) * latencies(seconds, "float")["choice"].ratio

    def _logits(self, graph: onnx.ModelProto) -> np.ndarray:
        session = open_session(graph.SerializeToString(), self.threads)
        return np.concatenate([session.run(None, {INPUT: images})[0] for images in self._images])

    def _compare(self, name: str, logits: np.ndarray) -> Result:
        reference = self._float[name]
        accuracy, before = _accuracy(logits, self._labels), _accuracy(reference, self._labels)
        return Result(accuracy, before - accuracy, divergence(reference, logits))


def caller(session: Any, images: np.ndarray) -> partial[Any]:
    """A call of a session, to be timed."""
    return partial(session.run, None, {INPUT: images})


def accuracies(sessions: Mapping[Any, Any], batches: Iterable[Labelled]) -> tuple[dict[Any, float], int]:
    """The accuracy of each session, in one pass over labelled images, and how many of these there are."""
    right, total = dict.fromkeys(sessions, 0), 0
    for images, labels in batches:
        total += len(labels)
        for key, session in sessions.items():
            right[key] += int((session.run(None, {INPUT: images})[0].argmax(axis=1) == labels).sum())
    return {key: hits / total for key, hits in right.items()}, total


def divergence(reference: np.ndarray, logits: np.ndarray) -> float:
    """Mean Kullback-Leibler divergence of posteriors, in nats: the sum over classes of p·log(p / q).

    Args:
        reference: logits of p, (images, classes).
        logits: of q, likewise.

    >>> round(divergence(np.array([[0.0, 0.0]]), np.array([[0.0, np.log(3.0)]])), 6)
    0.143841
    """
    p, q = _log_softmax(reference), _log_softmax(logits)
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def _log_softmax(logits: np.ndarray) -> np.ndarray:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def _accuracy(logits: np.ndarray, labels: np.ndarray) -> float:
    return float((logits.argmax(axis=1) == labels).mean())
