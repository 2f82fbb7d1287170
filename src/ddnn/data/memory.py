"""Small images: all of them as uint8 on the training device, augmented there in batches.

For 32x32 pixels a worker process costs more than the work it does; 50,000 such images take 154 MB.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddnn.data.augmentation import Augmentation, Rectangles, Shifts, draw_rectangles, draw_shifts, erase, shift
from ddnn.data.corrupt import CorruptImages
from ddnn.data.images import normalise, resize
from ddnn.data.loader import Views
from ddnn.data.order import EpochOrder, derive_seed
from ddnn.data.policies import Drawn, apply, draw_policy
from ddnn.data.splits import Split
from ddnn.errors import DataError, UnreadableImageError
from ddnn_runtime.cores import cores
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.reading import Reading

_AUGMENTATION_STREAM = 1  # sets the seeds of augmentation apart from those of the order
_POLICY_STREAM = 6  # and those of policies, which are drawn on the CPU


def decode_all(
    split: Split, channels: int, size: tuple[int, int], reading: Reading, corrupt: CorruptImages
) -> tuple[Split, Tensor]:
    """Decode a whole split, in threads.

    Returns:
        The split without what cannot be decoded, and its pixels, uint8 of shape (images, channels, *size), on the CPU.

    Raises:
        UnreadableImageError: one of the images cannot be decoded, and none may be left out.
        DataError: more cannot be decoded than may be left out.
    """
    pixels = torch.empty(len(split), channels, *size, dtype=torch.uint8)

    def decode_range(start: int, stop: int) -> list[tuple[int, str]]:
        errors = []
        for index in range(start, stop):
            try:
                pixels[index] = resize(split.image(index, channels, reading), size, reading)
            except UnreadableImageError as error:
                errors.append((index, str(error)))
        return errors

    starts = range(0, len(split), 500)
    with ThreadPoolExecutor(min(8, cores())) as pool:
        found = pool.map(decode_range, starts, [min(start + 500, len(split)) for start in starts])
        errors = [error for errors in found for error in errors]
    for _, message in errors:
        corrupt.note(message)
    if not errors:
        return split, pixels
    good = np.setdiff1d(np.arange(len(split)), [index for index, _ in errors])
    if not len(good):
        raise DataError("none of the images can be decoded")
    return split.take(good), pixels[torch.from_numpy(good)]


class _Change(NamedTuple):
    """What happens to each image of a batch."""

    shifts: Shifts | None = None
    operations: tuple[Drawn, ...] = ()
    rectangles: Rectangles | None = None

    def take(self, chosen: slice) -> "_Change":
        """What happens to some of the images."""
        return _Change(
            self.shifts and self.shifts.take(chosen),
            tuple(drawn.take(chosen) for drawn in self.operations),
            self.rectangles and self.rectangles.take(chosen),
        )


class MemoryLoader:
    """Batches of images that are held on the device.

    Args:
        pixels: uint8 of shape (images, channels, height, width).
        labels: int64 of shape (images,).
        spec: normalisation statistics.
        order: of the images, in each epoch.
        augmentation: None for evaluation.
        device: where the images are held and the batches come out.
    """

    def __init__(
        self,
        pixels: Tensor,
        labels: Tensor,
        spec: DataSpec,
        order: EpochOrder,
        augmentation: Augmentation | None,
        device: torch.device,
    ) -> None:
        self._pixels, self._labels, self._device = pixels.to(device), labels.to(device), device
        self._spec, self._order, self._augmentation = spec, order, augmentation
        self._epoch, self._first = 0, 0

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._order)

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Choose the order and the augmentation of the next iteration, and with which batch it begins."""
        self._epoch, self._first = epoch, first

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images float32 of shape (batch, channels, height, width), labels int64 of shape (batch,))."""
        for images, labels, change in self._cropped():
            yield self._prepare(images, change), labels

    def views(self) -> Iterator[Views]:
        """Yield them together with what sub-nets see: the same crops, and nothing else of what was drawn."""
        for images, labels, change in self._cropped():
            yield Views(self._prepare(images, change), labels, self._normalised(images), labels)

    def _cropped(self) -> Iterator[tuple[Tensor, Tensor, _Change]]:
        """Cropped and mirrored pixels, their labels, and what else happens to them."""
        changes = self._changes()
        for number, places in enumerate(self._order.batches(self._epoch, self._device)):
            change = next(changes)
            if number >= self._first:
                images = self._pixels[places]
                yield images if change.shifts is None else shift(images, change.shifts), self._labels[places], change

    def _changes(self) -> Iterator[_Change]:
        """What happens to each batch, drawn for all processes and parts, and thus the same however many there are."""
        order, draw = self._order, self._drawing()
        for count, parts in order.whole_batches():
            change = draw(count)
            for own in parts:
                yield change.take(own)

    def _drawing(self) -> Callable[[int], _Change]:
        """Draws what happens to so many images, anew with each call."""
        augmentation, size = self._augmentation, self._spec.size
        if augmentation is None:
            return lambda _count: _Change()
        generator, on_cpu = torch.Generator(self._device), torch.Generator()
        for own, stream in ((generator, _AUGMENTATION_STREAM), (on_cpu, _POLICY_STREAM)):
            own.manual_seed(derive_seed(self._order.seed, self._epoch, 0, stream))

        def draw(count: int) -> _Change:
            shifted, policy = augmentation.crop or augmentation.flip, augmentation.policy
            return _Change(
                draw_shifts(count, augmentation, generator) if shifted else None,
                draw_policy(policy, count, size, on_cpu) if policy != "none" else (),
                draw_rectangles(count, size, augmentation.erase, generator) if augmentation.erase else None,
            )

        return draw

    def _prepare(self, images: Tensor, change: _Change) -> Tensor:
        for drawn in change.operations:
            images = apply(images, drawn)
        images = self._normalised(images)
        return images if change.rectangles is None else erase(images, change.rectangles)

    def _normalised(self, images: Tensor) -> Tensor:
        return normalise(images, self._spec.mean, self._spec.std)
