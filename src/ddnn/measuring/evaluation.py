"""How good each net of a network is on a data set: all of them in one pass over the images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics.classification import MulticlassAccuracy, MulticlassCalibrationError

from ddnn.distributed.processes import total
from ddnn.errors import DataError
from ddnn.families.modes import in_mode
from ddnn.measuring.intervals import wilson_interval
from ddnn.network import DepthDynamicNetwork


@dataclass(frozen=True)
class ClassScore:
    """How well a net knows one class.

    Args:
        name: of the class.
        support: how many images are of it.
        precision: share of the images said to be of it that are, in [0, 1]; None if none was said to be.
        recall: share of its images that are said to be of it, in [0, 1]; None if there is none.
    """

    name: str
    support: int
    precision: float | None
    recall: float | None


@dataclass(frozen=True)
class Score:
    """What was measured of one net.

    Args:
        accuracy: share of images whose most probable class is right, in [0, 1].
        interval: 95 % confidence interval of the accuracy (Wilson, 1927).
        nll: mean negative log-likelihood of the labels, in nats.
        calibration_error: expected calibration error with 15 bins (Guo et al., arXiv 1706.04599).
        images: how many images were seen.
        balanced_accuracy: mean recall over the classes that occur, in [0, 1] (Brodersen et al., 2010): a net that never
            says a rare class does not get by. None in files of earlier versions.
        classes: figures of each class, in the order of the labels.
    """

    accuracy: float
    interval: tuple[float, float]
    nll: float
    calibration_error: float
    images: int
    balanced_accuracy: float | None = None
    classes: tuple[ClassScore, ...] = ()


def scores_as_json(network: DepthDynamicNetwork, scores: Mapping[str, Score]) -> dict[str, Any]:
    """Depth and score of each net, ready for JSON."""
    return {name: {"depth": list(network.depths[name]), **asdict(score)} for name, score in scores.items()}


def evaluate(
    network: DepthDynamicNetwork, batches: Iterable[tuple[Tensor, Tensor]], *, shared: bool = False
) -> dict[str, Score]:
    """Score every net on labelled images, shallow to deep.

    Args:
        network: left in the mode it was in.
        batches: (images, labels) on the network's device.
        shared: the batches are this process's share, and the scores those of all processes' images, the same in each;
            all must call this.

    Raises:
        DataError: if there is no batch, a label is none of the network's classes, or the outputs are not finite.
    """
    device = next(network.parameters()).device
    spec = network.data_spec
    classes = tuple(map(str, range(network.num_classes))) if spec is None else spec.class_names
    tallies = {name: _Tally(name, classes, device, shared) for name in network.names}
    with in_mode(network, training=False), torch.inference_mode():
        for images, labels in batches:
            _check_labels(labels, len(images), network.num_classes)
            for name, output in network.forward_all(images).items():
                tallies[name].add(output.logits.float(), labels)
    return {name: tally.score() for name, tally in tallies.items()}


def _check_labels(labels: Tensor, images: int, classes: int) -> None:
    if labels.shape != (images,) or labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        raise DataError(
            f"{images} images need as many whole numbers as labels, not {labels.dtype} {tuple(labels.shape)}"
        )
    wrong = labels[(labels < 0) | (labels >= classes)]
    if len(wrong):
        raise DataError(f"the label {int(wrong[0])} is none of the network's {classes} classes, 0 to {classes - 1}")


class _Tally:
    """Sums over the batches of one net, kept on the device."""

    def __init__(self, name: str, classes: tuple[str, ...], device: Any, shared: bool) -> None:
        self.name, num_classes = name, len(classes)
        self.by_class = _ClassTally(classes, device)
        self.accuracy = MulticlassAccuracy(num_classes, average="micro", sync_on_compute=shared).to(device)
        self.calibration = MulticlassCalibrationError(num_classes, n_bins=15, sync_on_compute=shared).to(device)
        self.nll = torch.zeros((), device=device)
        self.images = 0
        self.shared = shared

    def add(self, logits: Tensor, labels: Tensor) -> None:
        self.accuracy.update(logits, labels)
        self.by_class.add(logits, labels)
        self.calibration.update(logits.softmax(dim=1), labels)
        self.nll += functional.cross_entropy(logits, labels, reduction="sum")
        self.images += len(labels)

    def score(self) -> Score:
        sums = {"nll": float(self.nll), "images": float(self.images)}
        sums = total(sums) if self.shared else sums
        images = round(sums["images"])
        if not images:
            raise DataError("there is no image to evaluate on")
        if not isfinite(sums["nll"]):
            raise DataError(
                f"{self.name} gives outputs that are not finite: train the network again, or look at the images"
            )
        accuracy = float(self.accuracy.compute())
        classes = self.by_class.score(self.shared)
        return Score(
            accuracy,
            wilson_interval(round(accuracy * images), images),
            sums["nll"] / images,
            float(self.calibration.compute()),
            images,
            _mean_recall(classes),
            classes,
        )


def _mean_recall(classes: Sequence[ClassScore]) -> float:
    recalls = [each.recall for each in classes if each.recall is not None]
    return sum(recalls) / len(recalls)


class _ClassTally:
    """For each class: its images, those that are said to be of it, and those of which that is right.

    Three numbers a class; torchmetrics counts with a matrix of classes by classes, at each batch, which for thousands
    of classes and several nets takes longer than the nets do.
    """

    def __init__(self, names: tuple[str, ...], device: Any) -> None:
        self.names = names
        self.there, self.said, self.right = torch.zeros(3, len(names), dtype=torch.int64, device=device).unbind()

    def add(self, logits: Tensor, labels: Tensor) -> None:
        said, once = logits.argmax(dim=1), torch.ones_like(labels)
        self.there.index_add_(0, labels, once)
        self.said.index_add_(0, said, once)
        self.right.index_add_(0, labels, (said == labels).to(once.dtype))

    def score(self, shared: bool) -> tuple[ClassScore, ...]:
        counts = torch.cat([self.there, self.said, self.right]).tolist()
        if shared:
            counts = list(total({str(place): count for place, count in enumerate(counts)}).values())
        count = len(self.names)
        there, said, right = counts[:count], counts[count : 2 * count], counts[2 * count :]
        return tuple(
            ClassScore(name, round(own), hits / claimed if claimed else None, hits / own if own else None)
            for name, own, claimed, hits in zip(self.names, there, said, right, strict=True)
        )
