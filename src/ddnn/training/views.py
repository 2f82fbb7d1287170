"""What the nets of a step see: all of them the same images, or sub-nets a view of their own.

Sub-nets may see the images less changed than the full net (`ddnn.data.loader.Views`), or smaller, or both. Then a step
is two lessons: the full net learns from its images, and the sub-nets from theirs, where the full net teaches what it
says of *their* view, without a gradient. The loss is the sum of both.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ddnn.data.order import derive_seed
from ddnn.training.draw import Lesson

_SIZE_STREAM = 7  # sets the seeds of drawn sizes apart from all others


@dataclass(frozen=True)
class Seen:
    """What the nets see in a step.

    Args:
        full: images and labels of the full net.
        subnets: those of its sub-nets; None if they see the same.
    """

    full: tuple[Tensor, Tensor]
    subnets: tuple[Tensor, Tensor] | None = None

    def by(self, lesson: Lesson) -> tuple[Tensor, Tensor]:
        """Images and labels of a lesson: those of the sub-nets where they learn alone."""
        return self.full if lesson.teachers is None or self.subnets is None else self.subnets


def look(batch: tuple[Tensor, ...], side: int | None) -> Seen:
    """What full net and sub-nets see of a batch.

    Args:
        batch: images and labels; and those of the sub-nets, if they have their own.
        side: how large sub-nets see them, in pixels; None means as they are.
    """
    images, labels, *own = batch
    seen = (own[0], own[1]) if own else None
    if side is not None:
        larger, their_labels = seen or (images, labels)
        seen = resized(larger, side), their_labels
    return Seen((images, labels), seen)


def draw_side(sides: list[int] | None, share: float, seed: int, epoch: int, step: int) -> int | None:
    """How large sub-nets see the images of a step: one of these sides, each as likely as the others, in a share of the
    steps; None where they see them as they are. The same in each process, and in a resumed run.

    Example:
        >>> drawn = [draw_side([12, 8], 0.5, seed=0, epoch=0, step=step) for step in range(1000)]
        >>> [abs(drawn.count(side) / 1000 - share) < 0.05 for side, share in ((None, 0.5), (12, 0.25), (8, 0.25))]
        [True, True, True]
    """
    if sides is None:
        return None
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, step, _SIZE_STREAM))
    if float(torch.rand((), generator=generator)) >= share:
        return None
    return sides[int(torch.randint(len(sides), (), generator=generator))]


def resized(images: Tensor, side: int) -> Tensor:
    """Square images of (batch, channels, side, side) pixels, each the mean of what lies under it."""
    return functional.interpolate(images, (side, side), mode="bilinear", antialias=True)
