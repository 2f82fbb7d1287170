"""Large images: decoded and augmented anew in each epoch, by worker processes.

Workers hand over uint8, a quarter of the bytes of what the network sees; batches are normalised on the device.
Each sample's randomness is seeded from (seed, epoch, index) alone, so that neither the number of workers nor the
epochs that a process has seen before make a difference.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate
from torchvision.transforms import v2

from ddnn.config import AugmentConfig
from ddnn.data.ahead import fetched_ahead
from ddnn.data.blocks import Blocks
from ddnn.data.corrupt import CorruptImages
from ddnn.data.images import normalise, resize
from ddnn.data.loader import Views
from ddnn.data.order import EpochOrder, derive_seed
from ddnn.data.random_crop import random_crop
from ddnn.data.splits import Split
from ddnn.data.worker_signals import ended_by_parent_alone
from ddnn.errors import DataError, UnreadableImageError
from ddnn_runtime.cores import cores
from ddnn_runtime.data_spec import DataSpec

_POLICIES = {
    "none": nn.Identity,
    "autoaugment": v2.AutoAugment,
    "randaugment": v2.RandAugment,
    "trivialaugment": v2.TrivialAugmentWide,
}


_REPLACEMENTS = 20  # where so many in a row cannot be decoded, too many cannot


class _Resize(nn.Module):
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec

    def forward(self, image: Tensor, epoch: int = 0) -> Tensor:
        del epoch
        return resize(image, self.spec.size, self.spec.reading)


class _ByEpoch(nn.Module):
    """Another transform from some epochs on."""

    def __init__(self, since: Mapping[int, nn.Module]) -> None:
        super().__init__()
        self.since = dict(sorted(since.items()))

    def forward(self, image: Tensor, epoch: int = 0) -> Tensor:
        return self.since[max(begun for begun in self.since if begun <= epoch)](image)


def evaluation_transform(spec: DataSpec) -> nn.Module:
    """Resize with a margin and cut out the centre, or pad or squeeze: any image to `spec.input_shape`, both uint8."""
    return _Resize(spec)


def training_transform(spec: DataSpec, augment: AugmentConfig, flip: bool) -> nn.Module:
    """Random resized crop, flip, policy, erase: uint8 (channels, any, any) to uint8 of the size of the epoch.

    What is erased gets the mean colour, which is 0 (to within half a level) once it is normalised.
    """
    sizes = {0: spec.size} | {epoch: (side, side) for epoch, side in (augment.sizes or {}).items()}
    return _ByEpoch({epoch: _training_transform(size, spec, augment, flip) for epoch, size in sizes.items()})


def _training_transform(size: tuple[int, int], spec: DataSpec, augment: AugmentConfig, flip: bool) -> nn.Module:
    colour = [round(255 * mean) for mean in spec.mean]
    crop = nn.Sequential(
        random_crop(size, augment.scale, spec.reading),
        v2.RandomHorizontalFlip(0.5 if flip else 0.0),
    )
    change = nn.Sequential(
        _POLICIES[augment.policy](),
        v2.RandomErasing(augment.erase, value=colour),  # pyright: ignore[reportArgumentType]  # it takes a list
    )
    return nn.Sequential(crop, change) if augment.subnets == "same" else _BothViews(crop, change)


class _BothViews(nn.Module):
    """What the full net sees, and the crop alone, which sub-nets see: uint8 of shape (2, channels, height, width)."""

    def __init__(self, crop: nn.Module, change: nn.Module) -> None:
        super().__init__()
        self.crop, self.change = crop, change

    def forward(self, image: Tensor) -> Tensor:
        cropped = self.crop(image)
        return torch.stack([self.change(cropped), cropped])


class _Sample(NamedTuple):
    """A prepared image and its label; and what could not be decoded on the way to it, or why there can be none."""

    image: Tensor | None
    label: int
    errors: tuple[str, ...]
    failure: str | None = None


class _Samples(Dataset):
    """Prepared images and their labels by (epoch, index, occurrence).

    Args:
        split: images and labels.
        spec: channels of the images, and how they are read.
        transform: from a decoded image and the number of the epoch to a prepared image.
        seed: of the run.
        replacements: how many others to try in place of an image that cannot be decoded.
    """

    def __init__(self, split: Split, spec: DataSpec, transform: nn.Module, seed: int, replacements: int) -> None:
        self.split, self.spec, self.transform, self.seed = split, spec, transform, seed
        self.replacements = replacements

    def __getitem__(self, key: tuple[int, int, int]) -> _Sample:
        epoch, index, occurrence = key
        own = (epoch, index, occurrence) if occurrence else (epoch, index)  # of old, an image had one sample
        errors: list[str] = []
        for attempt in range(self.replacements + 1):
            place = index if not attempt else derive_seed(self.seed, epoch, index, attempt) % len(self.split)
            try:
                image = self.split.image(place, self.spec.channels, self.spec.reading)
            except UnreadableImageError as error:
                errors.append(str(error))  # raised by a worker, it would reach the main process with a traceback
                continue
            except DataError as error:
                return _Sample(None, 0, (), str(error))
            return _Sample(self._prepared(image, *own), int(self.split.labels[place]), tuple(errors))
        return _Sample(None, 0, tuple(errors))

    def _prepared(self, image: Tensor, epoch: int, *sample: int) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            # torch.manual_seed would also reseed the GPU, which without workers is the GPU that trains.
            torch.default_generator.manual_seed(derive_seed(self.seed, epoch, *sample))
            return self.transform(image, epoch)


def _collate(samples: list[_Sample]) -> tuple[Any, list[str], str | None]:
    """A batch of what could be decoded, None if nothing could; what could not; and why the images cannot be read."""
    good = [(sample.image, sample.label) for sample in samples if sample.image is not None]
    errors = [error for sample in samples for error in sample.errors]
    return default_collate(good) if good else None, errors, next(filter(None, (it.failure for it in samples)), None)


class _EpochSampler(Sampler[list[tuple[int, int, int]]]):
    """Batches of (epoch, index, occurrence), so that workers that live on still learn which epoch it is."""

    def __init__(self, order: EpochOrder, blocks: Blocks | None) -> None:
        self.order, self.blocks, self.epoch, self.first = order, blocks, 0, 0

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        batches = self.order.batches(self.epoch)
        occurrences = self.order.occurrences(self.epoch).split([len(batch) for batch in batches])
        due = list(zip(batches, occurrences, strict=True))[self.first :]
        for batch, occurrence in due if self.blocks is None else fetched_ahead(due, self.blocks):
            yield [(self.epoch, *key) for key in zip(batch.tolist(), occurrence.tolist(), strict=True)]


class LargeLoader:
    """Batches of images that workers prepare.

    Args:
        split: images and labels.
        spec: size, channels and normalisation statistics.
        order: of the images, in each epoch.
        transform: from a decoded image and the number of the epoch to uint8 of `spec.input_shape`, or in training of
            another size that epoch has; or to two of these, one for sub-nets.
        workers: processes; None means one a core, at most 8; 0 means none but this one.
        device: where the batches come out.
        corrupt: takes in what cannot be decoded. In training, another image takes its place; otherwise it is left out.
    """

    def __init__(
        self,
        split: Split,
        spec: DataSpec,
        order: EpochOrder,
        transform: nn.Module,
        workers: int | None,
        device: torch.device,
        corrupt: CorruptImages,
    ) -> None:
        workers = min(8, cores()) if workers is None else workers
        self._device, self._spec, self._sampler = device, spec, _EpochSampler(order, split.blocks)
        self._corrupt = corrupt
        self._loader = DataLoader(
            _Samples(split, spec, transform, order.seed, _REPLACEMENTS if order.training else 0),
            batch_sampler=self._sampler,
            collate_fn=_collate,
            num_workers=workers,
            pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
            worker_init_fn=ended_by_parent_alone,
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
            UnreadableImageError: an image of the next batch cannot be decoded, and none may be left out; the message
                names it.
            DataError: more cannot be decoded than may be left out, or the images cannot be read.
        """
        for images, labels in self._arrived():
            yield self._normalised(images if images.ndim == 4 else images[:, 0]), labels

    def views(self) -> Iterator[Views]:
        """Yield them together with what sub-nets see; for a transform that gives both."""
        for images, labels in self._arrived():
            yield Views(self._normalised(images[:, 0]), labels, self._normalised(images[:, 1]), labels)

    def _normalised(self, images: Tensor) -> Tensor:
        return normalise(images, self._spec.mean, self._spec.std)

    def _arrived(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pixels and labels, on the device."""
        pinned = self._device.type == "cuda"  # what is not pinned may be read before it has arrived
        for batch, errors, failure in self._loader:
            if failure is not None:
                raise DataError(failure)
            for error in errors:
                self._corrupt.note(error)
            if batch is None:
                continue
            images, labels = (tensor.to(self._device, non_blocking=pinned) for tensor in batch)
            yield images, labels
