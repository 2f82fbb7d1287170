"""How a network becomes files that run elsewhere."""

from dataclasses import dataclass
from typing import Literal

from ddnn.config.fields import check_types
from ddnn.config.limits import Count


@dataclass(frozen=True)
class ExportConfig:
    """What to export, and where to.

    Args:
        format: onnx, for onnxruntime and most other engines, with one weight file for all nets; or torch, for
            torch.export.load, each net with weights of its own.
        output: a folder that does not exist; None means RUN/export.
        pieces: also export the pieces between the places where nets part. With them a cascade computes what nets have
            in common only once. This doubles the time of an export to ONNX.
        check_images: how many images each graph is compared with PyTorch on.
        data: where these come from, as for `ddnn evaluate`; None means the test images of the run's data.
        data_root: where cifar10 and cifar100 are, or are downloaded to.
    """

    format: Literal["onnx", "torch"] = "onnx"
    output: str | None = None
    pieces: bool = True
    check_images: Count = 8
    data: str | None = None
    data_root: str = "data"

    def __post_init__(self) -> None:
        check_types(self)
