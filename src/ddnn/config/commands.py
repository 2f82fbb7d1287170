"""The options of the commands that use a network, or list what there is."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ddnn.config.limits import Count, Natural
from ddnn_runtime.configuration import check_types
from ddnn_runtime.reading import Pixels

_Side = Annotated[int, Meta(ge=32, description="at least 32 pixels")]


@dataclass(frozen=True)
class FamiliesConfig:
    """For which images and classes the costs are given.

    Args:
        image_size: side in pixels; None means the usual one of each family.
        num_classes: outputs; None means the usual number of each family.
    """

    image_size: _Side | None = None
    num_classes: Count | None = None

    def __post_init__(self) -> None:
        check_types(self)


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
        classes_from: which of the data's classes is which of the network's, where their names do not tell: a mapping
            such as '{kitten: cat, unknown: null}', in which null leaves a class out, or a file with one (.yaml or
            .json), or a text file with the network's name for each class, one a line.
        image_column: the column of parquet files that has the images; None means that of the run, or a usual one.
        label_column: likewise the column that has the labels.
        max_pixels: refuse images of more pixels than that; None means what the network was trained with.
        device: where to run; auto takes CUDA or MPS if there is one.
    """

    data: str | None = None
    data_root: str = "data"
    batch_size: int = 256
    workers: Natural | None = None
    max_corrupt: Natural | None = None
    classes_from: str | dict[str, str | None] | None = None
    image_column: str | None = None
    label_column: str | None = None
    max_pixels: Pixels | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        check_types(self)


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
    top: Count = 5
    batch_size: Count = 64
    max_pixels: Pixels | None = None
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"

    def __post_init__(self) -> None:
        check_types(self)
