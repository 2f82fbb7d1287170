"""What a net says of images in files, whichever engine runs it. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ddnn.errors import DDNNError, UnreadableImageError

if TYPE_CHECKING:
    import numpy as np

    from ddnn.engines import Engine


@dataclass(frozen=True)
class Prediction:
    """What a net says of one image.

    Args:
        image: the file.
        labels: class names, the most probable first.
        probabilities: one for each label, in [0, 1].
    """

    image: str
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]


@dataclass
class Predictions:
    """What a net says of many images.

    Args:
        read: of those that could be read, in the order given; of one that is given twice, two.
        unreadable: why the others could not.
    """

    read: list[Prediction] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def predict(
    engine: Engine, images: Sequence[str | Path], name: str | None = None, top: int = 5, batch_size: int = 64
) -> Predictions:
    """The most probable classes of each image.

    Args:
        engine: of a network that knows its data, as those that `ddnn train` wrote do.
        images: files.
        name: which net; None means the full net.
        top: how many classes.
        batch_size: images in a call.

    Raises:
        DDNNError: if there is no such net, its outputs are not finite, or the network does not know how its images are
            prepared.
    """
    if engine.class_names is None:
        raise DDNNError(
            "this network was saved without class names and normalisation; set net.data_spec to a "
            "ddnn.DataSpec and save it again"
        )
    found = Predictions()
    for start in range(0, len(images), batch_size):
        found.read += _batch(engine, images[start : start + batch_size], name, top, found.unreadable)
    return found


def _batch(
    engine: Engine, files: Sequence[str | Path], name: str | None, top: int, unreadable: list[str]
) -> Iterator[Prediction]:
    """Predictions of the files that can be read; what is wrong with the others is added to `unreadable`."""
    import numpy as np

    read: list[tuple[str | Path, np.ndarray]] = []
    for file in files:
        try:
            read.append((file, engine.read(file)[0]))
        except UnreadableImageError as error:
            unreadable.append(str(error))
    if not read:
        return
    logits = engine(np.stack([image for _, image in read]), name)
    if not np.isfinite(logits).all():
        raise DDNNError("the outputs of this net are not finite numbers: its weights are spoilt; train it again")
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    labels = engine.class_names
    assert labels is not None
    for (file, _), row in zip(read, probabilities, strict=True):
        best = row.argsort(kind="stable")[::-1][:top]
        yield Prediction(str(file), tuple(labels[index] for index in best), tuple(float(row[index]) for index in best))
