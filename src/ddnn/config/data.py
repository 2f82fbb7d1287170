"""Which images to use, and how they are prepared."""

from dataclasses import dataclass, field
from typing import Literal

from ddnn.config.fields import check, check_types


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to the training images.

    Args:
        crop: pixels of zero padding before a random crop, for images held in memory; None means an eighth of the
            image's side. 0 switches it off.
        scale: smallest share of a large image's area that a random resized crop keeps.
        flip: mirror half of the images; None means yes, except for digits.
        erase: probability of erasing a random rectangle (Zhong et al., arXiv 1708.04896).
        policy: torchvision's automatic augmentation, for large images.
    """

    crop: int | None = None
    scale: float = 0.08
    flip: bool | None = None
    erase: float = 0.0
    policy: Literal["none", "autoaugment", "randaugment", "trivialaugment"] = "none"

    def __post_init__(self) -> None:
        check_types(self, "augment.")
        check(self.crop is None or self.crop >= 0, f"augment.crop must be 0 or more pixels, not {self.crop}")
        check(0 < self.scale <= 1, f"augment.scale must be in (0, 1], not {self.scale}")
        check(0 <= self.erase <= 1, f"augment.erase must be in [0, 1], not {self.erase}")


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are prepared.

    Args:
        data: digits, cifar10, cifar100, folder:PATH (train/ and val/ with one folder a class) or parquet:PATH
            (train.parquet and test.parquet in Hugging Face's layout).
        data_root: where cifar10 and cifar100 are, or are downloaded to.
        image_size: side of the square images in pixels; None means the data set's own, or 224 where sizes differ.
        train_images: use only that many training images, the same for each run; None means all.
        validation: share of the training images held out to watch the training, in [0, 1).
        augment: random changes to the training images.
        batch_size: images in a batch, those of all processes together.
        workers: processes that decode large images; None means one a core, at most 8.
    """

    data: str = "digits"
    data_root: str = "data"
    image_size: int | None = None
    train_images: int | None = None
    validation: float = 0.1
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    batch_size: int = 64
    workers: int | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check(
            self.image_size is None or self.image_size >= 4,
            f"image_size must be at least 4 pixels, not {self.image_size}",
        )
        check(
            self.train_images is None or self.train_images >= 1,
            f"train_images must be at least 1, not {self.train_images}",
        )
        check(0 <= self.validation < 1, f"validation must be in [0, 1), not {self.validation}")
        check(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")
        check(self.workers is None or self.workers >= 0, f"workers must be 0 or more, not {self.workers}")
