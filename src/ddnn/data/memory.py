"""Small images: all of them as uint8 on the training device, augmented there in batches.

For 32x32 pixels a worker process costs more than the work it does; 50,000 such images take 154 MB.
"""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from ddnn.data.augmentation import Augmentation, Rectangles, Shifts, draw_rectangles, draw_shifts, erase, shift
from ddnn.data.corrupt import CorruptImages
from ddnn.data.images import normalise, resize
from ddnn.data.order import EpochOrder, derive_seed
from ddnn.data.splits import Split
from ddnn.data_spec import DataSpec
from ddnn.errors import DataError, UnreadableImageError

_AUGMENTATION_STREAM = 1  # sets the seeds of augmentation apart from those of the order


def decode_all(split: Split, channels: int, size: tuple[int, int], corrupt: CorruptImages) -> tuple[Split, Tensor]:
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
                pixels[index] = resize(split.image(index, channels), size)
            except UnreadableImageError as error:
                errors.append((index, str(error)))
        return errors

    starts = range(0, len(split), 500)
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
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
        changes = self._changes()
        for number, places in enumerate(self._order.batches(self._epoch, self._device)):
            change = next(changes)
            if number >= self._first:
                yield self._prepare(self._pixels[places], *change), self._labels[places]

    def _changes(self) -> Iterator[tuple[Shifts | None, Rectangles | None]]:
        """What happens to each batch, drawn for all processes and parts, and thus the same however many there are."""
        augmentation, order = self._augmentation, self._order
        generator = torch.Generator(self._device)
        generator.manual_seed(derive_seed(order.seed, self._epoch, 0, _AUGMENTATION_STREAM))
        for count, parts in order.whole_batches():
            shifts = rectangles = None
            if augmentation and (augmentation.crop or augmentation.flip):
                shifts = draw_shifts(count, augmentation, generator)
            if augmentation and augmentation.erase:
                rectangles = draw_rectangles(count, self._spec.size, augmentation.erase, generator)
            for own in parts:
                yield shifts and shifts.take(own), rectangles and rectangles.take(own)

    def _prepare(self, images: Tensor, shifts: Shifts | None, rectangles: Rectangles | None) -> Tensor:
        images = images if shifts is None else shift(images, shifts)
        images = normalise(images, self._spec.mean, self._spec.std)
        return images if rectangles is None else erase(images, rectangles)
