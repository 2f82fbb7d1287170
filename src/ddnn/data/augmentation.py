"""Random changes to whole batches of small images, on the device that trains.

Parameters are drawn for all samples at once, then applied by index arithmetic: no loop over samples, and nothing that
makes the host wait for the device. Drawing and applying are apart, so that tests can hold the fast code against
a naive loop.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

ERASE_AREA = (0.02, 0.33)
"""Smallest and largest share of the image that is erased (Zhong et al., arXiv 1708.04896, section 3.2)."""
ERASE_ASPECT = (0.3, 3.3)
"""Smallest and largest height over width of what is erased; uniform in its logarithm, as in torchvision."""
_ERASE_ATTEMPTS = 10


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image.

    Args:
        crop: pixels of zero padding on every side before a random crop to the old size.
        flip: mirror half of the images.
        erase: probability of erasing a random rectangle.
        policy: none, or one of `ddnn.data.policies.BATCHED`.
    """

    crop: int
    flip: bool
    erase: float
    policy: str = "none"


@dataclass(frozen=True)
class Shifts:
    """Random crops and flips of a batch.

    Args:
        top, left: first row and column of the crop within the padded image, int64 of shape (batch,), 0…2·padding.
        flipped: whether to mirror left and right, bool of shape (batch,).
        padding: zero pixels on every side.
    """

    top: Tensor
    left: Tensor
    flipped: Tensor
    padding: int

    def take(self, chosen: slice) -> "Shifts":
        """Those of some of the samples."""
        return Shifts(self.top[chosen], self.left[chosen], self.flipped[chosen], self.padding)


@dataclass(frozen=True)
class Rectangles:
    """One rectangle per sample, in pixels, int64 of shape (batch,) each; a height of 0 erases nothing."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor

    def take(self, chosen: slice) -> "Rectangles":
        """Those of some of the samples."""
        return Rectangles(self.top[chosen], self.left[chosen], self.height[chosen], self.width[chosen])


def draw_shifts(count: int, augmentation: Augmentation, generator: torch.Generator) -> Shifts:
    """Draw crops and flips for `count` samples, on the generator's device."""
    device, choices = generator.device, 2 * augmentation.crop + 1
    top, left = torch.randint(choices, (2, count), generator=generator, device=device)
    flipped = torch.rand(count, generator=generator, device=device) < (0.5 if augmentation.flip else 0.0)
    return Shifts(top, left, flipped, augmentation.crop)


def shift(images: Tensor, shifts: Shifts) -> Tensor:
    """Pad with zeros, crop at the drawn places, mirror what is to be mirrored.

    Args:
        images: (batch, channels, height, width), of any type.
        shifts: what was drawn.

    Returns:
        The same shape and type.
    """
    batch, channels, height, width = images.shape
    pad = shifts.padding
    padded = functional.pad(images, (pad, pad, pad, pad))
    rows = shifts.top[:, None] + torch.arange(height, device=images.device)
    columns = shifts.left[:, None] + torch.arange(width, device=images.device)
    columns = torch.where(shifts.flipped[:, None], columns.flip(1), columns)
    pixels = (rows[:, :, None] * (width + 2 * pad) + columns[:, None, :]).view(batch, 1, -1)
    return padded.flatten(2).gather(2, pixels.expand(-1, channels, -1)).view_as(images)


def draw_rectangles(count: int, size: tuple[int, int], probability: float, generator: torch.Generator) -> Rectangles:
    """Draw rectangles to erase, each smaller than the image in both directions.

    torchvision tries up to ten shapes a sample until one fits; so does this, with all ten drawn at once.

    Args:
        count: samples.
        size: (height, width) of the images in pixels.
        probability: that a sample has a rectangle.
        generator: source of randomness; its device is where the result is.
    """
    device, (height, width) = generator.device, size
    area, aspect, down, right = torch.rand(4, count, _ERASE_ATTEMPTS, generator=generator, device=device)
    area = height * width * (ERASE_AREA[0] + area * (ERASE_AREA[1] - ERASE_AREA[0]))
    low, high = math.log(ERASE_ASPECT[0]), math.log(ERASE_ASPECT[1])
    aspect = (low + aspect * (high - low)).exp()
    heights, widths = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (heights < height) & (widths < width) & (heights > 0) & (widths > 0)
    tops = (down * (height - heights + 1)).long().clamp(min=0)
    lefts = (right * (width - widths + 1)).long().clamp(min=0)
    first = fits.int().argmax(1, keepdim=True)
    wanted = torch.rand(count, generator=generator, device=device) < probability
    erased = fits.any(1) & wanted
    top, left, tall, wide = (values.gather(1, first).squeeze(1) for values in (tops, lefts, heights, widths))
    return Rectangles(top, left, torch.where(erased, tall, 0), wide)


def erase(images: Tensor, rectangles: Rectangles) -> Tensor:
    """Set the drawn rectangles to 0, which is the mean colour once images are normalised.

    Args:
        images: (batch, channels, height, width).
        rectangles: what was drawn.

    Returns:
        The same shape and type.
    """
    rows = torch.arange(images.shape[2], device=images.device)
    columns = torch.arange(images.shape[3], device=images.device)
    inside_rows = (rows >= rectangles.top[:, None]) & (rows < (rectangles.top + rectangles.height)[:, None])
    inside_columns = (columns >= rectangles.left[:, None]) & (columns < (rectangles.left + rectangles.width)[:, None])
    return images.masked_fill(inside_rows[:, None, :, None] & inside_columns[:, None, None, :], 0)
