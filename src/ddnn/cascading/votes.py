"""What each net says of labelled images: how sure it is, and whether it is right.

That is all that calibration needs. What any cascade of these nets would answer follows from it; where a net adds a
share of what was said before it, from their logits.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ddnn.engines.engine import Opinion
from ddnn.errors import DataError
from ddnn_runtime.answers import confidence
from ddnn_runtime.cascade_spec import participants


@dataclass(frozen=True)
class Votes:
    """What several nets say of the same images.

    Args:
        names: shallow to deep.
        confidences: largest softmax probabilities, float32 of shape (nets, images).
        right: whether the most probable class is the label, bool of shape (nets, images).
    """

    names: tuple[str, ...]
    confidences: np.ndarray
    right: np.ndarray

    @property
    def images(self) -> int:
        """How many images."""
        return self.right.shape[1]

    def accuracy(self, name: str) -> float:
        """Share of the images that a net is right about."""
        return float(self.right[self.names.index(name)].mean())

    def only(self, names: tuple[str, ...]) -> "Votes":
        """The same of some of the nets."""
        places = [self.names.index(name) for name in names]
        return Votes(names, self.confidences[places], self.right[places])

    def cascade(self, thresholds: Mapping[str, float], last: str) -> tuple[np.ndarray, np.ndarray]:
        """What a cascade would answer.

        Returns:
            For each image the place of the net that answers among those of the cascade, int64, and whether it is
            right, bool.
        """
        asked = participants(self.names, thresholds, last)
        places = [self.names.index(name) for name in asked]
        limits = np.array([[thresholds.get(name, 0.0)] for name in asked], dtype=np.float32)
        who = (self.confidences[places] >= limits).argmax(axis=0)  # the first that is sure
        return who, self.right[places][who, np.arange(self.images)]


@dataclass(frozen=True)
class Sayings:
    """The logits of several nets for the same labelled images.

    Args:
        names: shallow to deep.
        logits: float32 of shape (nets, images, classes).
        labels: int64 of shape (images,).
    """

    names: tuple[str, ...]
    logits: np.ndarray
    labels: np.ndarray

    def votes(self, names: tuple[str, ...], boost: float) -> Votes:
        """What the nets of a cascade say, asked one after the other, where each adds a share of what was said before it
        (see `ddnn.network.cascade`).

        Args:
            names: of the cascade, shallow to deep.
            boost: the share.
        """
        said = [self.logits[self.names.index(name)] for name in names]
        for place in range(1, len(said)):
            said[place] = said[place] + np.float32(boost) * said[place - 1]
        confidences = np.stack([confidence(logits) for logits in said])
        return Votes(names, confidences, np.stack([logits.argmax(axis=1) == self.labels for logits in said]))


def gather_logits(
    names: tuple[str, ...],
    logits: Callable[[Tensor], Mapping[str, np.ndarray]],
    batches: Iterable[tuple[Tensor, Tensor]],
) -> Sayings:
    """Keep what all nets say of labelled images: four bytes for each net, image and class.

    Args:
        names: the nets, shallow to deep.
        logits: asks them about a batch.
        batches: (images, labels), some.
    """
    said, labels = [], []
    for images, wanted in batches:
        found = logits(images)
        said.append(np.stack([found[name] for name in names]))
        labels.append(wanted.cpu().numpy())
    return Sayings(names, np.concatenate(said, axis=1), np.concatenate(labels))


def gather(
    names: tuple[str, ...],
    opinions: Callable[[Tensor], Mapping[str, Opinion]],
    batches: Iterable[tuple[Tensor, Tensor]],
) -> Votes:
    """Ask all nets about labelled images.

    Args:
        names: the nets, shallow to deep.
        opinions: asks them about a batch.
        batches: (images, labels).

    Raises:
        DataError: if there is no image, or an output is not finite.
    """
    confidences, right = [], []
    for images, labels in batches:
        found, wanted = opinions(images), labels.cpu().numpy()
        for name in names:
            if not np.isfinite(found[name][0]).all():
                raise DataError(f"{name} gives outputs that are not finite: train the network again")
        confidences.append(np.stack([found[name][0] for name in names]))
        right.append(np.stack([found[name][1] == wanted for name in names]))
    if not confidences:
        raise DataError("there is no image to ask the nets about")
    return Votes(names, np.concatenate(confidences, axis=1), np.concatenate(right, axis=1))
