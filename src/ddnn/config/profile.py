"""Under which conditions the nets of a network are measured."""

from dataclasses import dataclass
from typing import Literal

from ddnn.config.fields import check_distinct, listed, whole_numbers
from ddnn.config.limits import Seconds
from ddnn.errors import near
from ddnn_runtime.configuration import check, check_types

RUNTIMES = ("eager", "compiled", "onnx")
"""What runs a net: PyTorch as it is, PyTorch with torch.compile, or onnxruntime."""
PRECISIONS = ("fp32", "bf16", "fp16")
"""Number formats of weights and activations that a network is converted to; int8 is exported."""


@dataclass(frozen=True)
class ProfileConfig:
    """What to measure; every combination of the lists is.

    Args:
        batch_sizes: images in a call, as a list or with commas between them.
        image_sizes: sides of the square images in pixels, likewise; None means the size that the network was trained
            on.
        threads: threads of a call, likewise; None means as many as there are cores.
        precisions: number formats of weights and activations, likewise: fp32, bf16, and fp16 on CUDA; onnxruntime runs
            a network in fp32, and an export in its own. None means fp32, or the export's.
        runtimes: eager (PyTorch), compiled (PyTorch with torch.compile) and onnx (onnxruntime, on the CPU), likewise;
            None means eager and onnx, eager alone on a GPU, and onnx alone for an export.
        seconds: time for each combination, all nets together; ten calls of each net are made at least.
        device: where to run; auto takes CUDA or MPS if there is one.
        device_name: what to call this machine; None means its processor or its GPU.
        output: the folder for profile.json, profile.csv and accuracy_over_latency.png; files of these names there are
            replaced. None means RUN/profiles/DEVICE_NAME.
    """

    batch_sizes: list[int] | int | str = 1
    image_sizes: list[int] | int | str | None = None
    threads: list[int] | int | str | None = None
    precisions: list[str] | str | None = None
    runtimes: list[str] | str | None = None
    seconds: Seconds = 3.0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    device_name: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        _check_words("precisions", self.precision_list, (*PRECISIONS, "int8"))
        _check_words("runtimes", self.runtime_list, RUNTIMES)
        _check_numbers("batch_sizes", self.batch_size_list, "1,8")
        _check_numbers("image_sizes", self.image_size_list, "32,224")
        _check_numbers("threads", self.thread_list, "1,2")
        check(self.device_name is None or bool(str(self.device_name).strip()), "device_name is empty; give it a name")

    @property
    def batch_size_list(self) -> list[int]:
        """The batch sizes, in the order given."""
        return whole_numbers("batch_sizes", self.batch_sizes, "1,8")

    @property
    def image_size_list(self) -> list[int] | None:
        """The image sizes, in the order given."""
        return None if self.image_sizes is None else whole_numbers("image_sizes", self.image_sizes, "32,224")

    @property
    def thread_list(self) -> list[int] | None:
        """The numbers of threads, in the order given."""
        return None if self.threads is None else whole_numbers("threads", self.threads, "1,2")

    @property
    def precision_list(self) -> list[str] | None:
        """The precisions, in the order given."""
        return None if self.precisions is None else listed(self.precisions)

    @property
    def runtime_list(self) -> list[str] | None:
        """The runtimes, in the order given."""
        return None if self.runtimes is None else listed(self.runtimes)


def _check_numbers(key: str, values: list[int] | None, example: str) -> None:
    if values is not None:
        check_distinct(key, values, f"give one or more, such as {example}")
        check(min(values) >= 1, f"{key} must be at least 1, not {min(values)}")


def _check_words(key: str, values: list[str] | None, known: tuple[str, ...]) -> None:
    if values is not None:
        check_distinct(key, values, f"choose from {', '.join(known)}")
        for value in values:
            check(value in known, f"{value!r} cannot be among the {key}; {near(value, known)}")
