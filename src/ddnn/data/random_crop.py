"""Random parts of large images that are padded or squeezed to a square, without making that square first.

The padded square of a strip would fill the memory. And of a photograph that was made small first, a small part would be
blurred.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from ddnn.data.images import padded, scaled
from ddnn_runtime.geometry import Size
from ddnn_runtime.reading import Reading

_SHAPES = (3 / 4, 4 / 3)  # width over height, torchvision's default
_Box = tuple[int, int, int, int]  # top, left, height, width


def random_crop(size: Size, scale: float, reading: Reading) -> nn.Module:
    """Cuts out a random part and resizes it: uint8 (channels, any, any) to (channels, *size).

    Args:
        size: of the result.
        scale: the smallest share of the area that is kept.
        reading: whether the part is one of the image, of the padded one, or of the squeezed one.
    """
    crop = v2.RandomResizedCrop(size, scale=(scale, 1.0), ratio=_SHAPES, antialias=True)
    return crop if reading.resize == "crop" else _OfASquare(crop, size, reading)


class _OfASquare(nn.Module):
    """Draws as torchvision does for a square whose side is the longer one of the image.

    Args:
        crop: whose scale and ratio are taken.
        size: of the result.
        reading: how the square is made.
    """

    def __init__(self, crop: v2.RandomResizedCrop, size: Size, reading: Reading) -> None:
        super().__init__()
        self.crop, self.reading = crop, reading
        self.size = size

    def forward(self, image: Tensor) -> Tensor:
        old: Size = (image.shape[-2], image.shape[-1])
        side = max(old)
        square = torch.empty(1).expand(1, side, side)  # one number, that says that it is a square
        box = self.crop.make_params([square])
        drawn = (box["top"], box["left"], box["height"], box["width"])
        if self.reading.resize == "squeeze":
            return scaled(functional.crop(image, *squeezed(drawn, side, old)), self.size)
        return self._padded(image, shifted(drawn, side, old))

    def _padded(self, image: Tensor, box: _Box) -> Tensor:
        """What is in a box that may be larger than the image, on the background."""
        starts = [max(0, start) for start in box[:2]]
        ends = [
            min(most, start + length) for most, start, length in zip(image.shape[-2:], box[:2], box[2:], strict=True)
        ]
        shown = image[..., starts[0] : ends[0], starts[1] : ends[1]]
        part: list[int] = [
            min(most, max(1, round((end - start) * most / length)))
            for start, end, most, length in zip(starts, ends, self.size, box[2:], strict=True)
        ]
        place = [
            min(most - long, round((start - begin) * most / length))
            for start, begin, most, long, length in zip(starts, box[:2], self.size, part, box[2:], strict=True)
        ]
        return padded(scaled(shown, (part[0], part[1])), self.size, place, self.reading)


def squeezed(box: _Box, side: int, old: Size) -> _Box:
    """Where a box of the squeezed square is in the image.

    >>> squeezed((50, 50, 100, 200), 400, (100, 400))
    (12, 50, 25, 200)
    """
    (top, height), (left, width) = (
        _within(start * whole / side, length * whole / side, whole)
        for start, length, whole in zip(box[:2], box[2:], old, strict=True)
    )
    return top, left, height, width


def shifted(box: _Box, side: int, old: Size) -> _Box:
    """A box of the padded square, in pixels of the image: moved so that it has as much of the image as it can have.

    The upper and lower ends of a square around a wide image are bars; a part of these alone would show nothing.

    >>> shifted((300, 50, 80, 100), 400, (100, 400)), shifted((0, 0, 300, 300), 400, (100, 400))
    ((19, 50, 80, 100), (0, 0, 300, 300))
    """
    top, left = (
        round(start * (whole - length) / max(1, side - length))
        for start, length, whole in zip(box[:2], box[2:], old, strict=True)
    )
    return top, left, box[2], box[3]


def _within(start: float, length: float, whole: int) -> Sequence[int]:
    long = min(whole, max(1, round(length)))
    return min(round(start), whole - long), long
