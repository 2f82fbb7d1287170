"""Mixup and cutmix: a batch whose images are each put together from two, and labels that say how much of which.

torchvision's own transforms do it; here they draw from (seed, epoch, batch), so that a resumed run mixes as it would
have, and all processes alike. The partner of an image is the one before it in the same process's part of the batch.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from ddnn.config import AugmentConfig
from ddnn.data.loader import TrainingLoader, Views
from ddnn.data.order import derive_seed

_MIXING_STREAM = 5  # sets the seeds of mixing apart from all others


def mixed(loader: TrainingLoader, augment: AugmentConfig, classes: int, seed: int, parts: int) -> TrainingLoader:
    """The loader itself, or one that mixes its batches where the configuration asks for it.

    Args:
        loader: of training images.
        augment: with the parameters of the Beta distributions that shares are drawn from.
        classes: how many there are.
        seed: of the run.
        parts: that batches come in; all parts of a batch are mixed with one draw.
    """
    ways: list[v2.Transform] = []
    if augment.mixup:
        ways.append(v2.MixUp(alpha=augment.mixup, num_classes=classes))
    if augment.cutmix:
        ways.append(v2.CutMix(alpha=augment.cutmix, num_classes=classes))
    return MixingLoader(loader, ways, seed, parts) if ways else loader


class MixingLoader:
    """Batches of another loader, mixed in one of several ways, each as likely as the others.

    Args:
        loader: where the batches come from.
        ways: transforms of (images, labels).
        seed: of the run.
        parts: that batches come in.
    """

    def __init__(self, loader: TrainingLoader, ways: Sequence[nn.Module], seed: int, parts: int) -> None:
        self._loader, self._ways, self._seed, self._parts = loader, ways, seed, parts
        self._epoch, self._first = 0, 0

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._loader)

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Choose the order and the augmentation of the next iteration, and with which batch it begins."""
        self._epoch, self._first = epoch, first
        self._loader.set_epoch(epoch, first)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images, shares of the classes: float32 of shape (batch, classes), each image's adding up to 1)."""
        for number, (images, labels) in enumerate(self._loader, start=self._first):
            yield self._mixed(number, images, labels)

    def views(self) -> Iterator[Views]:
        """Yield them together with what sub-nets see, which is not mixed."""
        for number, (images, labels, *seen) in enumerate(self._loader.views(), start=self._first):
            yield Views(*self._mixed(number, images, labels), *seen)

    def _mixed(self, number: int, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        with torch.random.fork_rng(devices=[]):
            seed = derive_seed(self._seed, self._epoch, number // self._parts, _MIXING_STREAM)
            torch.default_generator.manual_seed(seed)
            way = self._ways[int(torch.randint(len(self._ways), ()))]
            return way(images, labels)
