"""What a net says of images in files: of a run, a saved network or an export. Nothing here imports torch, which an
export does without."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddnn.config import PredictConfig, configured
from ddnn.engines.opening import open_engine
from ddnn.errors import DDNNError, UnreadableImageError
from ddnn.formats.arguments import path_of, paths_of
from ddnn_runtime.image_files import LeftOut, found_files

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
        subnet: which net.
        read: of those that could be read, in the order given; of one that is given twice, two.
        unreadable: why the others could not.
        left_out: what else there is in folders, and why that was not asked about.
    """

    subnet: str
    read: list[Prediction] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """What `ddnn predict --json` prints."""
        return {
            "subnet": self.subnet,
            "predictions": [asdict(prediction) for prediction in self.read],
            "unreadable": self.unreadable,
            "left_out": [*map(list, self.left_out)],
        }

    def require_all(self) -> None:
        """Fail unless all images could be read.

        Raises:
            UnreadableImageError: why the first one could not, and how many more there are.
        """
        if self.unreadable:
            first, *others = self.unreadable
            raise UnreadableImageError(first + (f"; and {len(others)} more cannot be read either" if others else ""))


def predict(
    run: str | os.PathLike[str],
    images: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    config: PredictConfig | None = None,
    **keys: Any,
) -> Predictions:
    """The most probable classes of each image, by one net.

    Args:
        run: a run directory, a saved network, or an export, which runs without torch; or what `ddnn.train` returns.
        images: image files; folders, of which all images are taken; or text files (`.txt`) with a path a line. One of
            them, or several.
        config: which net, and how many classes; None means the five most probable ones of the full net.
        keys: fields of `ddnn.PredictConfig`, in place of the configuration's.

    Returns:
        Class names and probabilities in [0, 1] of all images that can be read, and why the others cannot.

    Raises:
        ModelFileError: if there is no network and no export, or it is damaged.
        UnreadableImageError: if none of the images can be read; `require_all` does so if any cannot.
        DDNNError: if a folder has no image, there is no such net, its outputs are not finite, the network does not know
            how its images are prepared, or a key or value makes no sense.

    Example:
        ```python
        found = ddnn.predict("runs/digits", ["three.png", "scans"], subnet="resnet8", top=2)
        for prediction in found.read:
            print(prediction.image, prediction.labels[0], prediction.probabilities[0])
        ```
    """
    path, config = path_of(run, "run"), configured(PredictConfig, config, keys)
    places = paths_of(images, "images")
    engine = open_engine(path, config.device, max_pixels=config.max_pixels)
    if engine.class_names is None:
        raise DDNNError(
            "this network was saved without class names and normalisation; set net.data_spec to a "
            "ddnn.DataSpec and save it again"
        )
    files, left_out = found_files(places)
    found = Predictions(engine.full if config.subnet is None else config.subnet, left_out=left_out)
    for start in range(0, len(files), config.batch_size):
        batch = files[start : start + config.batch_size]
        found.read += _batch(engine, batch, found.subnet, config.top, found.unreadable)
    if not found.read:
        found.require_all()
    return found


def _batch(engine: Engine, files: Sequence[Path], name: str, top: int, unreadable: list[str]) -> Iterator[Prediction]:
    """Predictions of the files that can be read; what is wrong with the others is added to `unreadable`."""
    import numpy as np

    read: list[tuple[Path, np.ndarray]] = []
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
