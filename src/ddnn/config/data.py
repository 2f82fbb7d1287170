"""Which images to use, and how they are prepared."""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from msgspec import Meta

from ddnn.config.limits import Below1, Count, FiniteWeight, Fraction, Natural, Side, SomeFraction, UpTo100
from ddnn_runtime.configuration import check, check_types
from ddnn_runtime.geometry import LARGEST_IMAGE, LARGEST_SIDE, LARGEST_SMALL_SIDE
from ddnn_runtime.reading import WHITE, Byte, Number, Pixels, Reading, Resize
from ddnn_runtime.schema import LARGEST

_Pixels = Annotated[int, Meta(ge=0, description="0 or more pixels")]
_Colour = Annotated[list[Byte], Meta(min_length=3, max_length=3, description="red, green and blue, 0 to 255 each")]
_Levels = Annotated[list[Number], Meta(min_length=2, max_length=2, description="two numbers, black and white")]
_GiB = Annotated[float, Meta(gt=0, le=LARGEST, description="over 0 GiB")]
_Shards = Annotated[int, Meta(ge=1, description="1 or more shards")]


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

    crop: _Pixels | None = None
    scale: SomeFraction = 0.08
    flip: bool | None = None
    erase: Fraction = 0.0
    policy: Literal["none", "autoaugment", "randaugment", "trivialaugment"] = "none"
    mixup: FiniteWeight = 0.0
    cutmix: FiniteWeight = 0.0
    repeats: UpTo100 = 1
    sizes: dict[int, int] | None = None
    subnets: Literal["same", "weak"] = "same"

    def __post_init__(self) -> None:
        check_types(self, "augment.")
        for epoch, side in (self.sizes or {}).items():
            check(
                epoch >= 0 and LARGEST_SMALL_SIDE < side <= LARGEST_SIDE,
                f"augment.sizes must be sides of large images, {LARGEST_SMALL_SIDE + 1} to {LARGEST_SIDE} pixels, for "
                f"epochs from 0 on, not {epoch}: {side}",
            )
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
    cache_gib: _GiB = 32.0
    block: _Shards = 16

    def __post_init__(self) -> None:
        check_types(self, "shards.")


@dataclass(frozen=True)
class DataConfig:
    """Which images, and how they are prepared.

    Args:
        data: digits, cifar10, cifar100, imagenet, folder:PATH (train/ and val/ with one folder a class), parquet:PATH
            (train.parquet and test.parquet in Hugging Face's layout, or a clone of a Hub repository), shards:PATH or
            shards:URL (WebDataset's tar files
            with an index, which ddnn shards makes).
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
        image_column: the column of parquet files that has the images: bytes, structs of bytes and path, or paths; None
            means image, img, pixel_values, jpg, jpeg, png or webp.
        label_column: the column that has the labels; None means label, labels, fine_label, class, target or cls.
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
        sampler: shuffled trains on each image once an epoch; balanced on as many of each class as of the others, in an
            epoch of the same length, so that those of rare classes come several times, augmented anew.
    """

    data: str = "digits"
    data_root: str = "data"
    image_size: Side | None = None
    train_images: Count | None = None
    validation: Below1 = 0.1
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    batch_size: Count = 64
    workers: Natural | None = None
    max_corrupt: Natural = 0
    shards: ShardsConfig = field(default_factory=ShardsConfig)
    image_column: str | None = None
    label_column: str | None = None
    resize: Resize = "crop"
    orientation: Literal["exif", "stored"] = "exif"
    background: _Colour | None = field(default_factory=lambda: list(WHITE))
    levels: _Levels | None = None
    max_pixels: Pixels | None = None
    sampler: Literal["shuffled", "balanced"] = "shuffled"

    def __post_init__(self) -> None:
        check_types(self)
        _ = self.reading  # which checks what goes together

    @property
    def reading(self) -> Reading:
        """How pictures become pixels, for a network that is trained on them."""
        background = None if self.background is None else (self.background[0], self.background[1], self.background[2])
        levels = None if self.levels is None else (float(self.levels[0]), float(self.levels[1]))
        return Reading(self.orientation, background, levels, self.resize, self.max_pixels or LARGEST_IMAGE)
