"""Automatic augmentation of whole batches of small images, on the device that trains.

What happens to each sample is drawn on the CPU, where it costs next to nothing and tells how many samples an operation
has. The samples are then sorted by their operation, so that each operation runs once, on a slice, and nothing makes the
host wait for the device. Operations and their strengths are torchvision's, which takes one image at a time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d
from torchvision.transforms.v2 import functional

BINS = 31
"""Strengths of an operation, from none to the strongest."""
_RAND_AUGMENT_BIN = 9

OPERATIONS = (
    "Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
    "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize",
)  # fmt: skip
"""Under torchvision's names; those that move pixels are next to each other, for they run as one."""
_MOVES = slice(OPERATIONS.index("ShearX"), OPERATIONS.index("Rotate") + 1)
_SIGNED = slice(OPERATIONS.index("ShearX"), OPERATIONS.index("Sharpness") + 1)


@dataclass(frozen=True)
class Drawn:
    """One operation per sample, on the CPU.

    Args:
        operation: its place in `OPERATIONS`, int64 of shape (batch,).
        magnitude: how strong, in the unit that torchvision gives the operation, float32 of shape (batch,).
    """

    operation: Tensor
    magnitude: Tensor

    def take(self, chosen: slice) -> "Drawn":
        """Those of some of the samples."""
        return Drawn(self.operation[chosen], self.magnitude[chosen])


class _Policy(NamedTuple):
    """So many operations in a row, each drawn uniformly.

    Args:
        rounds: how many.
        bin: the strength; None draws it uniformly.
        moves, colours, bits: the strongest shear; the strongest change of brightness and the like; the fewest bits of
            a channel.
        turn: the strongest rotation in degrees.
        shift: the longest translation in pixels, of an image so many pixels wide or high.
    """

    rounds: int
    bin: int | None
    moves: float
    colours: float
    bits: int
    turn: float
    shift: Callable[[int], float]


_POLICIES = {
    # Müller and Hutter, arXiv 2103.10158, in the wide space
    "trivialaugment": _Policy(1, None, 0.99, 0.99, 2, 135.0, lambda _side: 32.0),
    # Cubuk et al., arXiv 1909.13719, with the strengths of AutoAugment, as in torchvision
    "randaugment": _Policy(2, _RAND_AUGMENT_BIN, 0.3, 0.9, 4, 30.0, lambda side: 150.0 / 331.0 * side),
}

BATCHED = tuple(_POLICIES)
"""The policies that there are for images held in memory."""


def magnitudes(policy: str, size: tuple[int, int]) -> Tensor:
    """How strong each operation is in each bin.

    Args:
        policy: one of `BATCHED`.
        size: (height, width) of the images in pixels.

    Returns:
        float32 of shape (operations, bins), without signs; 0 for operations that have no strength.

    Example:
        >>> magnitudes("trivialaugment", (32, 32))[OPERATIONS.index("Rotate"), -1]
        tensor(135.)
    """
    own, (height, width) = _POLICIES[policy], size
    largest = [own.moves, own.moves, own.shift(width), own.shift(height), own.turn, *[own.colours] * 4]
    table = torch.zeros(len(OPERATIONS), BINS)
    table[_SIGNED] = torch.stack([torch.linspace(0.0, most, BINS) for most in largest])
    table[OPERATIONS.index("Posterize")] = (8 - torch.arange(BINS) / ((BINS - 1) / (8 - own.bits))).round()
    table[OPERATIONS.index("Solarize")] = torch.linspace(1.0, 0.0, BINS)
    return table


def draw_policy(policy: str, count: int, size: tuple[int, int], generator: torch.Generator) -> tuple[Drawn, ...]:
    """Draw what a policy does to `count` samples, one operation after another.

    Args:
        policy: one of `BATCHED`.
        count: samples.
        size: (height, width) of the images in pixels.
        generator: source of randomness, on the CPU.
    """
    own, table = _POLICIES[policy], magnitudes(policy, size)
    return tuple(_draw(table, own.bin, count, generator) for _ in range(own.rounds))


def _draw(table: Tensor, fixed: int | None, count: int, generator: torch.Generator) -> Drawn:
    operation = torch.randint(len(OPERATIONS), (count,), generator=generator)
    strength = torch.randint(BINS, (count,), generator=generator) if fixed is None else torch.full((count,), fixed)
    negative = torch.rand(count, generator=generator) < 0.5
    signed = (operation >= _SIGNED.start) & (operation < _SIGNED.stop)
    magnitude = table[operation, strength]
    return Drawn(operation, torch.where(negative & signed, -magnitude, magnitude))


def apply(images: Tensor, drawn: Drawn) -> Tensor:
    """Do to each sample what was drawn for it.

    Args:
        images: uint8 of shape (batch, 1 or 3, height, width).
        drawn: operations and their magnitudes.

    Returns:
        The same shape and type, as torchvision's functions give it, to within 1.
    """
    order = drawn.operation.argsort(stable=True)
    counts = drawn.operation.bincount(minlength=len(OPERATIONS)).tolist()
    places = _moved(order, images.device)
    result = images[places]
    strength = _moved(drawn.magnitude[order], images.device)[:, None, None, None]
    height, width = images.shape[2:]
    maps = _moved(_inverse_maps(drawn, (height, width))[order], images.device)
    first = counts[0]  # the identity's come first, and stay
    for number, operation in _RUNS:
        chosen = slice(first, first := first + sum(counts[number]))
        if chosen.stop > chosen.start:
            part = result[chosen]
            part.copy_(_move(part, maps[chosen]) if operation is None else operation(part, strength[chosen]))
    return torch.empty_like(result).index_copy_(0, places, result)


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    """On the device; a copy from memory that is not pinned would wait for it."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _inverse_maps(drawn: Drawn, size: tuple[int, int]) -> Tensor:
    """From where in the old image each pixel of the new one is, relative to the centre: float32 of shape (batch, 2, 3),
    (x, y) from (x, y, 1). Shears keep the upper left corner."""
    height, width = size
    size_of, maps = drawn.magnitude.double(), torch.eye(2, 3, dtype=torch.float64).repeat(len(drawn.operation), 1, 1)
    shear_x, shear_y, right, down, turn = (
        torch.where(drawn.operation == number, size_of, 0.0) for number in range(_MOVES.start, _MOVES.stop)
    )
    angle = turn.deg2rad()
    maps[:, 0, 0] = maps[:, 1, 1] = angle.cos()
    maps[:, 0, 1], maps[:, 1, 0] = shear_x - angle.sin(), shear_y + angle.sin()
    maps[:, 0, 2] = shear_x * (height / 2) - right.trunc()
    maps[:, 1, 2] = shear_y * (width / 2) - down.trunc()
    return maps.float()


def _move(images: Tensor, maps: Tensor) -> Tensor:
    """Each pixel is the nearest of those at its place in the old image, and 0 where there is none."""
    batch, channels, height, width = images.shape
    across = torch.linspace((1 - width) / 2, (width - 1) / 2, width, device=images.device).expand(height, width)
    along = torch.linspace((1 - height) / 2, (height - 1) / 2, height, device=images.device)[:, None].expand_as(across)
    grid = torch.stack([across, along, torch.ones_like(across)], 2).view(1, -1, 3).expand(batch, -1, -1)
    # As in torch's affine_grid and grid_sample: a pixel that is half way between two shall go to the same one.
    scale = torch.stack([maps[:, 0] / (0.5 * width), maps[:, 1] / (0.5 * height)], 2)
    column, row = grid.bmm(scale).unbind(2)
    column, row = (((column + 1) * width - 1) / 2).round(), (((row + 1) * height - 1) / 2).round()
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    pixels = (row * width + column).long().clamp(0, height * width - 1)
    taken = images.flatten(2).gather(2, pixels[:, None].expand(-1, channels, -1))
    return (taken * inside[:, None]).view_as(images)


def _blend(images: Tensor, others: Tensor | int, magnitude: Tensor) -> Tensor:
    """Away from the other images, or for negative magnitudes towards them."""
    return (images * (1 + magnitude) - others * magnitude).clamp_(0, 255).to(images.dtype)


def _brightness(images: Tensor, magnitude: Tensor) -> Tensor:
    return _blend(images, 0, magnitude)


def _colour(images: Tensor, magnitude: Tensor) -> Tensor:
    return images if images.shape[1] == 1 else _blend(images, functional.rgb_to_grayscale(images), magnitude)


def _contrast(images: Tensor, magnitude: Tensor) -> Tensor:
    grey = functional.rgb_to_grayscale(images).float()
    return _blend(images, grey.mean((1, 2, 3), keepdim=True), magnitude)


def _sharpness(images: Tensor, magnitude: Tensor) -> Tensor:
    """The border, one pixel wide, stays."""
    if min(images.shape[2:]) <= 2:
        return images
    result = images.float()
    inner = result[:, :, 1:-1, 1:-1]
    # The mean with weight 5 in the middle and 1 around it, from a sum of whole numbers, which no device rounds.
    smooth = ((avg_pool2d(result, 3, stride=1, divisor_override=1) + 4 * inner) / 13).round_()
    inner -= (smooth - inner) * magnitude
    return result.clamp_(0, 255).to(images.dtype)


def _posterize(images: Tensor, bits: Tensor) -> Tensor:
    lost = (8 - bits).to(images.dtype)
    return (images >> lost) << lost


def _solarize(images: Tensor, threshold: Tensor) -> Tensor:
    return torch.where(images >= 255 * threshold, 255 - images, images)


def _one(name: str) -> slice:
    return slice(OPERATIONS.index(name), OPERATIONS.index(name) + 1)


_RUNS: tuple[tuple[slice, Callable[[Tensor, Tensor], Tensor] | None], ...] = (
    (_MOVES, None),
    (_one("Brightness"), _brightness),
    (_one("Color"), _colour),
    (_one("Contrast"), _contrast),
    (_one("Sharpness"), _sharpness),
    (_one("Posterize"), _posterize),
    (_one("Solarize"), _solarize),
    (_one("AutoContrast"), lambda images, _: functional.autocontrast(images)),
    (_one("Equalize"), lambda images, _: functional.equalize(images)),
)
"""After the identity, in the order of `OPERATIONS`: which run as one, and what does it; None moves pixels."""
