"""Large images: decoded and augmented anew in each epoch, by worker processes.

Workers hand over uint8, a quarter of the bytes of what the network sees; batches are normalised on the device.
Each sample's randomness is seeded from (seed, epoch, index) alone, so that neither the number of workers nor the
epochs that a process has seen before make a difference.
"""

import os
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate
from torchvision.transforms import v2

from ddnn.config import AugmentConfig
from ddnn.data.images import normalise, resize
from ddnn.data.order import EpochOrder, derive_seed
from ddnn.data.splits import Split
from ddnn.data_spec import DataSpec
from ddnn.errors import UnreadableImageError

_POLICIES = {
    "none": nn.Identity,
    "autoaugment": v2.AutoAugment,
    "randaugment": v2.RandAugment,
    "trivialaugment": v2.TrivialAugmentWide,
}


class _Resize(nn.Module):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, image: Tensor) -> Tensor:
        return resize(image, self.spec.size)


def evaluation_transform(spec: DataSpec) -> nn.Module:
    """Resize with a margin and cut out the centre: uint8 (channels, any, any) to uint8 `spec.input_shape`."""
    return _Resize(spec)


def training_transform(spec: DataSpec, augment: AugmentConfig, flip: bool) -> nn.Module:
    """Random resized crop, flip, policy, erase: uint8 (channels, any, any) to uint8 `spec.input_shape`.

    What is erased gets the mean colour, which is 0 (to within half a level) once it is normalised.
    """
    colour = [round(255 * mean) for mean in spec.mean]
    return nn.Sequential(
        v2.RandomResizedCrop(spec.size, scale=(augment.scale, 1.0), antialias=True),
        v2.RandomHorizontalFlip(0.5 if flip else 0.0),
        _POLICIES[augment.policy](),
        v2.RandomErasing(augment.erase, value=colour),  # pyright: ignore[reportArgumentType]  # it takes a list
    )


class _Samples(Dataset):
    """Prepared images and their labels by (epoch, index); the error, instead of raising it, for one that is damaged."""

    def __init__(self, split: Split, channels: int, transform: nn.Module, seed: int) -> None:
        self.split, self.channels, self.transform, self.seed = split, channels, transform, seed

    def __getitem__(self, key: tuple[int, int]) -> tuple[Tensor, int] | UnreadableImageError:
        epoch, index = key
        try:
            image = self.split.image(index, self.channels)
        except UnreadableImageError as error:
            return error  # raised by a worker, it would reach the main process wrapped in a traceback
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would also reseed the GPU, which without workers is the GPU that trains.
            torch.default_generator.manual_seed(derive_seed(self.seed, epoch, index))
            return self.transform(image), int(self.split.labels[index])


def _collate(samples: list[tuple[Tensor, int] | UnreadableImageError]) -> Any:
    errors = [sample for sample in samples if isinstance(sample, UnreadableImageError)]
    return errors[0] if errors else default_collate(samples)


class _EpochSampler(Sampler[list[tuple[int, int]]]):
    """Batches of (epoch, index), so that workers that live on still learn which epoch it is."""

    def __init__(self, order: EpochOrder) -> None:
        self.order, self.epoch, self.first = order, 0, 0

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for batch in self.order.batches(self.epoch)[self.first :]:
            yield [(self.epoch, index) for index in batch.tolist()]


class LargeLoader:
    """Batches of images that workers prepare.

    Args:
        split: images and labels.
        spec: size, channels and normalisation statistics.
        order: of the images, in each epoch.
        transform: from a decoded image to uint8 of `spec.input_shape`.
        workers: processes; None means one a core, at most 8; 0 means none but this one.
        device: where the batches come out.
    """

    def __init__(
        self,
        split: Split,
        spec: DataSpec,
        order: EpochOrder,
        transform: nn.Module,
        workers: int | None,
        device: torch.device,
    ) -> None:
        workers = min(8, _cores()) if workers is None else workers
        self._device, self._spec, self._sampler = device, spec, _EpochSampler(order)
        self._loader = DataLoader(
            _Samples(split, spec.channels, transform, order.seed),
            batch_sampler=self._sampler,
            collate_fn=_collate,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            generator=torch.Generator(),  # without one, each iteration would draw from the global generator
        )

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._sampler)

    def set_epoch(self, epoch: int, first: int = 0) -> None:
        """Choose the order and the augmentation of the next iteration, and with which batch it begins."""
        self._sampler.epoch, self._sampler.first = epoch, first

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield (images float32 of shape (batch, channels, height, width), labels int64 of shape (batch,)).

        Raises:
            UnreadableImageError: an image of the next batch cannot be decoded; the message names it.
        """
        pinned = self._device.type == "cuda"  # what is not pinned may be read before it has arrived
        for batch in self._loader:
            if isinstance(batch, UnreadableImageError):
                # A new one, which no variable of this frame holds: in a cycle with its own traceback, the workers
                # would be left to the garbage collector, and torch then waits five seconds for each to end.
                raise UnreadableImageError(str(batch))
            images, labels = (tensor.to(self._device, non_blocking=pinned) for tensor in batch)
            yield normalise(images, self._spec.mean, self._spec.std), labels


def _cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
