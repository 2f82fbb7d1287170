"""Which images to use, and how they are prepared."""

from dataclasses import dataclass, field
from math import inf
from typing import Literal

from ddnn.config.fields import check, check_max_corrupt, check_max_pixels, check_types
from ddnn_runtime.geometry import LARGEST_IMAGE, LARGEST_SIDE, LARGEST_SMALL_SIDE
from ddnn_runtime.reading import WHITE, Reading


@dataclass(frozen=True)
class AugmentConfig:
    """Random changes to the training images.

    Args:
        crop: pixels of zero padding before a random crop, for images held in memory; None means an eighth of the
            image's side. 0 switches it off.
        scale: smallest share of a large image's area that a random resized crop keeps.
        flip: mirror half of the images; None means yes, except for digits.
        erase: probability of erasing a random rectangle (Zhong et al., arXiv 1708.04896).
        policy: torchvision's automatic augmentation; autoaugment is for large images only. trivialaugment moves images
            by up to 32 pixels whatever their size, as torchvision does.
        mixup: alpha of the Beta distribution that the share of the other image is drawn from (Zhang et al., arXiv
            1710.09412), such as 0.2; 0 switches it off.
        cutmix: the same for pasting a rectangle of another image (Yun et al., arXiv 1905.04899), such as 1. With both,
            each batch has one of them, with equal chances.
        repeats: how often an image comes in one batch, augmented anew each time; an epoch then has as many times fewer
            images (repeated augmentation, Hoffer et al., arXiv 1901.09335).
        sizes: the side of large training images from some epochs on, counted from 0, in place of image_size, such as
            {0: 128, 30: 160, 60: 224}; scores are always those at image_size.
        subnets: what sub-nets see: the same as the full net; or, with weak, the same crops without policy, erase,
            mixup and cutmix, and with plain labels. Then full net and sub-nets share no computation. For the
            objectives ekd and joint.
    """

    crop: int | None = None
    scale: float = 0.08
    flip: bool | None = None
    erase: float = 0.0
    policy: Literal["none", "autoaugment", "randaugment", "trivialaugment"] = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1
    sizes: dict[int, int] | None = None
    subnets: Literal["same", "weak"] = "same"

    def __post_init__(self) -> None:
        check_types(self, "augment.")
        check(self.crop is None or self.crop >= 0, f"augment.crop must be 0 or more pixels, not {self.crop}")
        check(0 < self.scale <= 1, f"augment.scale must be in (0, 1], not {self.scale}")
        check(0 <= self.erase <= 1, f"augment.erase must be in [0, 1], not {self.erase}")
        check(1 <= self.repeats <= 100, f"augment.repeats must be 1 to 100, not {self.repeats}")
        for epoch, side in (self.sizes or {}).items():
            check(
                epoch >= 0 and LARGEST_SMALL_SIDE < side <= LARGEST_SIDE,
                f"augment.sizes must be sides of large images, {LARGEST_SMALL_SIDE + 1} to {LARGEST_SIDE} pixels, for "
                f"epochs from 0 on, not {epoch}: {side}",
            )
        for name in ("mixup", "cutmix"):
            check(0 <= getattr(self, name) < inf, f"augment.{name} must be 0 or more, not {getattr(self, name)}")
        check(
            self.subnets == "same" or self.policy != "none" or any((self.erase, self.mixup, self.cutmix)),
            "augment.subnets weak leaves out policy, erase, mixup and cutmix, and none of them is on: "
            "give one of them, or leave it out",
        )


@dataclass(frozen=True)
class ShardsConfig:
    """Where shards that are not on this machine are kept while they are used.

    Args:
        index: path or URL of the shards' index, if it is not beside them as index.parquet.
        cache: folder that shards are downloaded into, shared by all processes and runs of a machine; None means
            ~/.cache/ddnn/shards.
        cache_gib: the most that it holds, in GiB; the shards that were not used for longest are deleted.
        block: how many remote shards are shuffled together. Each training epoch takes the shards in a new random order,
            and shuffles the images of so many at a time. Shards on this machine are shuffled as a whole.
    """

    index: str | None = None
    cache: str | None = None
    cache_gib: float = 32.0
    block: int = 16

    def __post_init__(self) -> None:
        check_types(self, "shards.")
        check(0 < self.cache_gib < inf, f"shards.cache_gib must be over 0 GiB, not {self.cache_gib}")
        check(self.block >= 1, f"shards.block must be 1 or more shards, not {self.block}")


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are prepared.

    Args:
        data: digits, cifar10, cifar100, imagenet, folder:PATH (train/ and val/ with one folder a class), parquet:PATH
            (train.parquet and test.parquet in Hugging Face's layout), shards:PATH or shards:URL (WebDataset's tar files
            with an index, which python -m ddnn.data.shards makes).
        data_root: where cifar10, cifar100 and imagenet are; the first two are downloaded there if need be.
        image_size: side of the square images in pixels; None means the data set's own, or 224 where sizes differ.
        train_images: use only that many training images, the same for each run; None means all.
        validation: share of the training images held out to watch the training, in [0, 1).
        augment: random changes to the training images.
        batch_size: images in a batch, those of all processes together.
        workers: processes that decode large images; None means one a core, at most 8.
        max_corrupt: leave out at most so many images of a split that cannot be decoded; each process names each once.
            In training, others take their place. 0 refuses the first.
        shards: where remote shards are kept while they are used.
        resize: what becomes of images that are not square: crop cuts out the centre, pad shows all of an image with
            bars of the background, squeeze shows all of it and changes its proportions. Training cuts random parts out
            of the image, of the padded one, or of the squeezed one.
        orientation: exif turns and mirrors images as their EXIF data say, as viewers do; stored leaves them as their
            pixels are stored. TIFFs are always turned.
        background: red, green and blue, 0 to 255, behind transparent pixels and beside padded images; null drops
            transparency, so that whatever colour lies below it shows.
        levels: which numbers are black and white in images of more than 8 bits, such as [0, 4095]. Images with numbers
            beyond are refused. None means 0 and 1 for floating-point numbers, 0 and 65535 for 16 bits (0 and 4095 for
            TIFFs of 12 bits), and refuses 32-bit integers.
        max_pixels: refuse images of more pixels than that, before they are decoded; None means 100 million.
    """

    data: str = "digits"
    data_root: str = "data"
    image_size: int | None = None
    train_images: int | None = None
    validation: float = 0.1
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    batch_size: int = 64
    workers: int | None = None
    max_corrupt: int = 0
    shards: ShardsConfig = field(default_factory=ShardsConfig)
    resize: Literal["crop", "pad", "squeeze"] = "crop"
    orientation: Literal["exif", "stored"] = "exif"
    background: list[int] | None = field(default_factory=lambda: list(WHITE))
    levels: list[float] | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        check_types(self)
        self._check_reading()
        check_max_corrupt(self.max_corrupt)
        check(
            self.image_size is None or 4 <= self.image_size <= LARGEST_SIDE,
            f"image_size must be 4 to {LARGEST_SIDE} pixels, not {self.image_size}",
        )
        check(
            self.train_images is None or self.train_images >= 1,
            f"train_images must be at least 1, not {self.train_images}",
        )
        check(0 <= self.validation < 1, f"validation must be in [0, 1), not {self.validation}")
        check(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")
        check(self.workers is None or self.workers >= 0, f"workers must be 0 or more, not {self.workers}")

    def _check_reading(self) -> None:
        background, levels = self.background, self.levels
        check(
            background is None or (len(background) == 3 and all(0 <= part <= 255 for part in background)),
            f"background must be red, green and blue, 0 to 255, such as [255, 255, 255], not {background}",
        )
        check(
            self.resize != "pad" or background is not None,
            "resize pad needs a background, the colour of the bars: give one, such as [255, 255, 255]",
        )
        check(
            levels is None or (len(levels) == 2 and -inf < levels[0] < levels[1] < inf),
            f"levels must be two numbers, black and the larger white, such as [0, 4095], not {levels}",
        )
        check_max_pixels(self.max_pixels)

    @property
    def reading(self) -> Reading:
        """How pictures become pixels, for a network that is trained on them."""
        background = None if self.background is None else (self.background[0], self.background[1], self.background[2])
        levels = None if self.levels is None else (float(self.levels[0]), float(self.levels[1]))
        return Reading(self.orientation, background, levels, self.resize, self.max_pixels or LARGEST_IMAGE)
