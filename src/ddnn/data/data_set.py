"""From a configuration to loaders: which pipeline, which images in which split, prepared for which network."""

import warnings
from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ddnn.config import DataConfig
from ddnn.data.augment_checks import check_augment
from ddnn.data.augmentation import Augmentation
from ddnn.data.balance import Balance
from ddnn.data.class_names import ClassesFrom
from ddnn.data.corrupt import CorruptImages
from ddnn.data.images import IMAGENET_MEAN, IMAGENET_STD, statistics
from ddnn.data.large import LargeLoader, evaluation_transform, training_transform
from ddnn.data.loader import Loader, TrainingLoader, WithViews
from ddnn.data.matching import with_classes_of
from ddnn.data.memory import MemoryLoader, decode_all
from ddnn.data.mixing import mixed
from ddnn.data.old_keyword import with_old_keyword
from ddnn.data.order import EpochOrder
from ddnn.data.portion import Portion, notes_of, portion_of
from ddnn.data.shapes import wide_images
from ddnn.data.sources import open_source
from ddnn.data.splits import Source, Split, hold_out, subset
from ddnn.errors import DataError
from ddnn_runtime.data_spec import DataSpec
from ddnn_runtime.geometry import is_small

_USUAL_SIDE = 224


def open_data(
    config: DataConfig,
    seed: int,
    spec: DataSpec | None = None,
    *,
    classes_from: ClassesFrom | None = None,
    whole: bool = False,
    quiet: bool = False,
) -> "Data":
    """Open a data set.

    Args:
        config: which one, and how it is prepared.
        seed: of shuffling and augmentation; which images are held out does not depend on it.
        spec: of the data that a stored network was trained on. With it, images are prepared for that network
            (`config.image_size` is not used), and nothing is read of splits that are not asked for. Classes become
            those of the network, by their names.
        classes_from: which of the data's classes is which of the network's, where names do not tell: a mapping, or a
            file with one. None as a value leaves a class out.
        whole: all images of a data set without splits are the test split.
        quiet: say nothing of what was left out, as where another process says it.

    Raises:
        DataError: the data set is unknown, missing, or not as it should be; its classes are not those of `spec`;
            or `config` asks for what cannot be done with it.
    """
    source = open_source(config.data, config.data_root, config.shards, config.image_column, config.label_column)
    source = source.as_one() if whole else source
    if spec is not None:
        source = with_classes_of(source, spec, classes_from)
    elif len(source.class_names) < 2:
        raise DataError(
            f"{source.name} has one class ({', '.join(source.class_names)}): a classifier needs two or more"
        )
    data = Data(source, config, seed, spec, quiet)
    data.say(source.notes)
    check_augment(config, data.size)
    if spec is None and "train" in source.splits:
        data.check_training()
        data.mention_wide_images()
    return data


class Data:
    """Training, validation and test images of one data set, as loaders. Made by `open_data`.

    Args:
        source: images and labels.
        config: how they are prepared.
        seed: of shuffling and augmentation.
        spec: None means to find it out.
        quiet: say nothing of what was left out.
    """

    def __init__(
        self, source: Source, config: DataConfig, seed: int, spec: DataSpec | None = None, quiet: bool = False
    ) -> None:
        self._quiet, self._said = quiet, set[str]()
        self._source, self._config, self._seed = source, config, seed
        self._given = spec and spec.allowing(config.max_pixels)
        self._reading = self._given.reading if self._given else config.reading
        self._decoded: dict[str, tuple[Split, Tensor]] = {}
        self.channels: int = spec.channels if spec else source.channels
        self.size: tuple[int, int] = (
            spec.size if spec else _square(config.image_size or source.own_side(config.max_corrupt > 0) or _USUAL_SIDE)
        )

    @cached_property
    def spec(self) -> DataSpec:
        """Size, statistics and class names; the statistics are those of the training images, or of ImageNet."""
        if self._given:
            return self._given
        if is_small(self.size):
            mean, std = statistics(self._in_memory("train", self._parts[0])[1])
        elif self.channels == 3:
            mean, std = IMAGENET_MEAN, IMAGENET_STD
        else:
            mean, std = (sum(IMAGENET_MEAN) / 3,), (sum(IMAGENET_STD) / 3,)
        return DataSpec(self.channels, self.size, mean, std, self._source.class_names, self._reading)

    @property
    def num_classes(self) -> int:
        """Of the labels; unlike `spec`, it is known without decoding an image."""
        return len(self._source.class_names)

    @property
    def class_counts(self) -> tuple[int, ...]:
        """How many training images each class has, without those that are held out; known without decoding one."""
        return tuple(np.bincount(self._parts[0].labels, minlength=self.num_classes).tolist())

    @property
    def has_validation(self) -> bool:
        """Whether images are held out of the training images, or come apart."""
        return self._parts[1] is not None

    def prepared(self, config: DataConfig, seed: int) -> "Data":
        """The same images, decoded once for both, in another order, in batches and with augmentation as `config` says.

        Raises:
            DataError: if these images cannot be augmented so.
        """
        check_augment(config, self.size)
        other = copy(self)
        other._config = replace(
            self._config, augment=config.augment, batch_size=config.batch_size, sampler=config.sampler
        )
        other._seed = seed
        return other

    @with_old_keyword
    def training(
        self, device: torch.device | str, *, share: tuple[int, int] = (0, 1), parts: int = 1
    ) -> TrainingLoader:
        """Training images, shuffled and augmented.

        Args:
            device: where batches come out, and where small images are held.
            share: (rank, number of processes); each gets equally many batches, and its share of each one's images.
            parts: batches come in so many parts.

        Returns:
            A loader; a last partial batch is dropped unless it is the only one.

        Raises:
            DataError: there are no training images, or the batches cannot be divided.
        """
        loader = self._loader("train", self._parts[0], device, share, parts)
        return mixed(loader, self._config.augment, self.num_classes, self._seed, parts)

    @with_old_keyword
    def batches(
        self, device: torch.device | str, *, share: tuple[int, int] = (0, 1), parts: int = 1
    ) -> TrainingLoader | WithViews:
        """What a step is trained on: batches of `training`, or with `augment.subnets` weak `Views`."""
        loader = self.training(device, share=share, parts=parts)
        return loader if self._config.augment.subnets == "same" else WithViews(loader)

    def for_norms(self, device: torch.device | str) -> Loader:
        """Training images to set running statistics by: augmented as those that sub-nets see, but as large as test
        images, and neither mixed with each other nor repeated."""
        plain = copy(self)
        augment = replace(self._config.augment, mixup=0.0, cutmix=0.0, repeats=1, sizes=None)
        if augment.subnets == "weak":
            augment = replace(augment, policy="none", erase=0.0, subnets="same")
        plain._config = replace(self._config, augment=augment)
        return plain.training(device)

    @with_old_keyword
    def validation(self, device: torch.device | str, *, share: tuple[int, int] = (0, 1)) -> Loader | None:
        """Images to watch the training with, unchanged and in order; None if none are held out."""
        held = self._parts[1]
        return None if held is None else self._loader("validation", held, device, share)

    @with_old_keyword
    def test(self, device: torch.device | str, *, share: tuple[int, int] = (0, 1)) -> Loader:
        """Test images, unchanged and in order; each is in one share, so shares may differ by one image."""
        return self._loader("test", self._split("test"), device, share)

    def portion(self, name: str, seen: int | None = None, *, limited: bool = False) -> Portion:
        """Which images a figure stands on.

        Args:
            name: train, validation or test.
            seen: how many images there were; None means all that the split has.
            limited: whether those are the first only, so that the others were not left out.

        Raises:
            DataError: there is no such split.
        """
        split = self._split("test") if name == "test" else self._parts[name == "validation"]
        if split is None:
            raise DataError(f"{self._source.name} has no {name} images: none are held out")
        return portion_of(self._source, name, split, len(split) if seen is None else seen, limited)

    def say(self, notes: Iterable[str]) -> None:
        """Say once what a person should know of the data."""
        for note in () if self._quiet else notes:
            if note not in self._said:
                self._said.add(note)
                warnings.warn(note, stacklevel=3)

    def _split(self, name: str) -> Split:
        """A split of the source; says what was left out of it, and where it is not all that was pointed at."""
        split = self._source.split(name)
        self.say(notes_of(self._source, name))
        return split

    def check_training(self) -> None:
        """Read the labels of the training images and divide them, without decoding an image.

        Raises:
            DataError: there are fewer training images than `config` asks for.
        """
        _ = self._parts

    def mention_wide_images(self) -> None:
        """Warn where the centre is cut out of training images of which many are far from square."""
        if self._reading.resize == "crop" and not self._quiet and (word := wide_images(self._parts[0])):
            self.say([word])

    @cached_property
    def _parts(self) -> tuple[Split, Split | None]:
        """Training images, and those that are held out of them or come apart."""
        whole, wanted = self._split("train"), self._config.train_images
        if wanted is not None and wanted > len(whole):
            raise DataError(
                f"train_images asks for {wanted} images, but {self._source.name} has {len(whole)}: "
                "ask for fewer, or leave it out to use all"
            )
        train = whole if wanted is None else whole.take(subset(whole.labels, wanted))
        if "validation" in self._source.splits:
            return train, self._split("validation")
        if self._config.validation == 0:
            return train, None
        kept, held = hold_out(train.labels, self._config.validation)
        return train.take(kept), replace(train.take(held), left_out=())

    def _in_memory(self, name: str, split: Split) -> tuple[Split, Tensor]:
        """The split, without what cannot be decoded, and its pixels."""
        if name not in self._decoded:
            self._decoded[name] = decode_all(split, self.channels, self.size, self._reading, self._corrupt(name))
        return self._decoded[name]

    def _corrupt(self, name: str) -> CorruptImages:
        return CorruptImages(self._config.max_corrupt, name)

    def _loader(
        self, name: str, split: Split, device: torch.device | str, share: tuple[int, int], parts: int = 1
    ) -> TrainingLoader:
        training, device, config = name == "train", torch.device(device), self._config
        pixels = None
        if is_small(self.size):
            split, pixels = self._in_memory(name, split)
        blocks = split.blocks if pixels is None else None
        repeats = config.augment.repeats
        balance = Balance.of(split) if training and config.sampler == "balanced" else None
        order = EpochOrder(len(split), config.batch_size, self._seed, training, share, parts, repeats, blocks, balance)
        if pixels is not None:
            augmentation = self._augmentation if training else None
            return MemoryLoader(pixels, split.label_tensor(), self.spec, order, augmentation, device)
        transform = (
            training_transform(self.spec, config.augment, self._flip) if training else evaluation_transform(self.spec)
        )
        return LargeLoader(split, self.spec, order, transform, config.workers, device, self._corrupt(name))

    @property
    def _flip(self) -> bool:
        flip = self._config.augment.flip
        return self._source.mirrored if flip is None else flip

    @property
    def _augmentation(self) -> Augmentation:
        augment = self._config.augment
        crop = min(self.size) // 8 if augment.crop is None else augment.crop
        return Augmentation(crop, self._flip, augment.erase, augment.policy)


def _square(side: int) -> tuple[int, int]:
    return side, side
