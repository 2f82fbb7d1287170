"""The options of the commands that use a network, or list what there is."""

from dataclasses import dataclass
from typing import Literal

from ddnn.config.fields import check, check_max_corrupt, check_max_pixels, check_types


@dataclass(frozen=True)
class FamiliesConfig:
    """For which images and classes the costs are given.

    Args:
        image_size: side in pixels; None means the usual one of each family.
        num_classes: outputs; None means the usual number of each family.
    """

    image_size: int | None = None
    num_classes: int | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check(
            self.image_size is None or self.image_size >= 32,
            f"image_size must be at least 32 pixels, not {self.image_size}",
        )
        check(
            self.num_classes is None or self.num_classes >= 1, f"num_classes must be at least 1, not {self.num_classes}"
        )


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate a network on.

    Args:
        data: digits, cifar10, cifar100, imagenet, folder:PATH, parquet:PATH or shards:PATH; None means what the run was
            trained on.
        data_root: where cifar10, cifar100 and imagenet are; the first two are downloaded there if need be.
        batch_size: images in a batch.
        workers: processes that decode large images; None means one a core, at most 8.
        max_corrupt: leave out at most so many images that cannot be decoded, and name each; 0 refuses the first.
            None means what the run was trained with, or 0 with other data.
        max_pixels: refuse images of more pixels than that; None means what the network was trained with.
        device: where to run; auto takes CUDA or MPS if there is one.
    """

    data: str | None = None
    data_root: str = "data"
    batch_size: int = 256
    workers: int | None = None
    max_corrupt: int | None = None
    max_pixels: int | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        check_types(self)
        check_max_corrupt(self.max_corrupt)
        check_max_pixels(self.max_pixels)


@dataclass(frozen=True)
class ExtractConfig:
    """Which net to take out, and where to put it.

    Args:
        subnet: its name; None means the full net.
        output: the safetensors file, which must not exist; None means NAME.safetensors in this folder.
    """

    subnet: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        check_types(self)


@dataclass(frozen=True)
class PredictConfig:
    """Who predicts, and how much is shown.

    Args:
        subnet: the name of a net; None means the full net.
        top: how many classes to show for an image.
        batch_size: images in a call.
        max_pixels: refuse images of more pixels than that; None means what the network was trained with.
        device: where a run or a saved network runs; auto takes CUDA or MPS if there is one. An export runs on the CPU.
    """

    subnet: str | None = None
    top: int = 5
    batch_size: int = 64
    max_pixels: int | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        check_types(self)
        check(self.top >= 1, f"top must be at least 1, not {self.top}")
        check(self.batch_size >= 1, f"batch_size must be at least 1, not {self.batch_size}")
        check_max_pixels(self.max_pixels)
