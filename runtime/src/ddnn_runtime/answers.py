"""A cascade over the graphs of an export: see `Runtime.cascade`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ddnn_runtime.cascade_spec import check_boost, participants
from ddnn_runtime.errors import DDNNError
from ddnn_runtime.manifest import INPUT, Manifest
from ddnn_runtime.sessions import Sessions


class Answers(NamedTuple):
    """What a cascade gives for a batch.

    Args:
        logits: of the net that answered, float32 of shape (batch, classes), with its share of those before it.
        answered_by: which net that is, int64 of shape (batch,), as a place in `names`.
        names: the nets that were asked, shallow to deep.
    """

    logits: np.ndarray
    answered_by: np.ndarray
    names: tuple[str, ...]


def cascade(
    manifest: Manifest,
    sessions: Sessions,
    images: np.ndarray,
    thresholds: Mapping[str, float] | None = None,
    last: str | None = None,
    boost: float | None = None,
) -> Answers:
    """Ask the nets one after the other, each for the images that are left; see `Runtime.cascade`."""
    limits, last, share = _limits(manifest, thresholds, last)
    share = np.float32(share if boost is None else check_boost(boost))
    names = participants(manifest.names, limits, last)
    run = (_Pieces if manifest.pieces else _Whole)(manifest, sessions, images)
    logits = np.empty((len(images), manifest.num_classes), dtype=np.float32)
    answered_by = np.empty(len(images), dtype=np.int64)
    left = np.arange(len(images))
    before: np.ndarray | None = None  # what was said of the images that are left
    for place, name in enumerate(names):
        answer = run.logits(name)
        if share and before is not None:
            answer = answer + share * before
        sure = np.ones(len(left), dtype=bool) if place == len(names) - 1 else confidence(answer) >= limits[name]
        logits[left[sure]], answered_by[left[sure]] = answer[sure], place
        left, before = left[~sure], answer[~sure]
        if not len(left):
            break
        run.keep(~sure)
    return Answers(logits, answered_by, names)


def confidence(logits: np.ndarray) -> np.ndarray:
    """The largest softmax probability of each row, float32 of shape (batch,)."""
    return 1 / np.exp(logits - logits.max(axis=1, keepdims=True)).sum(axis=1)


def _limits(
    manifest: Manifest, thresholds: Mapping[str, float] | None, last: str | None
) -> tuple[Mapping[str, float], str | None, float]:
    """What was given, else what was calibrated, with the share that it was calibrated with."""
    if thresholds is not None or last is not None:
        return thresholds or {}, last, 0.0
    if manifest.cascade is None:
        raise DDNNError(
            "this export has no calibrated cascade; give thresholds, or run `ddnn cascade RUN` and export again"
        )
    return manifest.cascade.thresholds, manifest.cascade.last, manifest.cascade.boost


class _Whole:
    """Nets that are called from the images on, because the export has no pieces."""

    def __init__(self, manifest: Manifest, sessions: Sessions, images: np.ndarray) -> None:
        self._manifest, self._sessions, self._images = manifest, sessions, images

    def logits(self, name: str) -> np.ndarray:
        return self._sessions[self._manifest.nets[name].graph.file].run(None, {INPUT: self._images})[0]

    def keep(self, chosen: np.ndarray) -> None:
        self._images = self._images[chosen]


class _Pieces:
    """Nets that go on from where they leave those that were asked before."""

    def __init__(self, manifest: Manifest, sessions: Sessions, images: np.ndarray) -> None:
        self._pieces, self._sessions = manifest.pieces, sessions
        self._values = {INPUT: images}
        self._done: set[int] = set()

    def logits(self, name: str) -> np.ndarray:
        (number,) = (number for number, piece in enumerate(self._pieces) if piece.leaf == name)
        (output,) = self._pieces[number].outputs
        self._compute(number)
        return self._values.pop(output)

    def keep(self, chosen: np.ndarray) -> None:
        self._values = {name: value[chosen] for name, value in self._values.items()}

    def _compute(self, number: int) -> None:
        piece = self._pieces[number]
        if number in self._done:
            return
        if piece.source is not None:
            self._compute(piece.source)
        feeds = {name: self._values[name] for name in piece.inputs}
        self._values |= zip(
            piece.outputs, self._sessions[piece.graph.file].run(list(piece.outputs), feeds), strict=True
        )
        self._done.add(number)
