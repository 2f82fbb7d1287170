"""Norms and batches on which synchronised norm is compared with torch's on the whole batch, in double precision."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

SHAPE = (12, 3, 4, 5)


def norms() -> Iterator[nn.Module]:
    yield nn.BatchNorm2d(3).double()
    yield nn.BatchNorm2d(3, eps=0.1, momentum=None, affine=False).double()
    yield nn.BatchNorm2d(3, track_running_stats=False).double()


def batches() -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(2):
        yield 1000 + torch.randn(SHAPE, generator=generator, dtype=torch.float64)


def weight_of(output: Tensor) -> Tensor:
    """What each number counts in a loss; the same for each image, so that shares can be compared with the whole."""
    return torch.linspace(-1, 2, output[0].numel(), dtype=output.dtype).view(output[0].shape) * output.detach().sign()
