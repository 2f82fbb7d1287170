"""How a network becomes files that run elsewhere."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ddnn.config.limits import Count, Side
from ddnn_runtime.configuration import check, check_types

_Opset = Annotated[int, Meta(ge=18, le=23, description="18 to 23")]


@dataclass(frozen=True)
class ExportConfig:
    """What to export, and where to.

    Args:
        format: onnx, for onnxruntime and most other engines, with one weight file for all nets; torch, for
            torch.export.load, each net with weights of its own; or triton, a model repository for that server, each
            net a model with weights of its own.
        output: a folder that does not exist; None means RUN/export.
        pieces: also export the pieces between the places where nets part. With them a cascade computes what nets have
            in common only once. This doubles the time of an export to ONNX; the other formats have none.
        one_file: each graph of ONNX holds its weights itself, for what reads one file only, such as a browser. Weights
            that nets share are then in each of them.
        opset: of ONNX's operators; engines of before 2023 do not know 18, and later ones are for what asks for them.
        precision: fp16 halves weights and computes in half precision; images and logits are float32 all the same.
            Logits must agree with PyTorch's to 2e-2 of the largest one, in place of 1e-4.
        max_batch: most images that a server puts into one call, with triton.
        check_images: how many images each graph is compared with PyTorch on.
        data: where these come from, as for `ddnn evaluate`; None means the test images of the run's data, or random
            numbers for a saved network, which does not say its data.
        data_root: where cifar10 and cifar100 are, or are downloaded to.
        image_size: side of the graphs' images in pixels, for a network that was saved without its data's description;
            None means the usual one of its family.
        mean: of each channel, of pixels in [0, 1], for such a network, as in [0.485, 0.456, 0.406]; with std, it goes
            into the export. None says that the normalisation is unknown.
        std: standard deviation of each channel, likewise.
    """

    format: Literal["onnx", "torch", "triton"] = "onnx"
    output: str | None = None
    pieces: bool = True
    one_file: bool = False
    opset: _Opset = 18
    precision: Literal["fp32", "fp16"] = "fp32"
    max_batch: Count = 16
    check_images: Count = 8
    data: str | None = None
    data_root: str = "data"
    image_size: Side | None = None
    mean: list[float] | None = None
    std: list[float] | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check((self.mean is None) == (self.std is None), "mean and std belong together: give both, or neither")
        check(
            self.format != "torch" or (self.opset, self.precision) == (18, "fp32"),
            "opset and precision are for graphs of ONNX: leave them out with --format torch",
        )
        check(
            self.format == "onnx" or not self.one_file,
            f"one_file is for --format onnx: leave it out with {self.format}, where each net is one file anyway",
        )
        check(self.format == "triton" or self.max_batch == 16, "max_batch is for --format triton: leave it out")
