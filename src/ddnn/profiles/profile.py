"""What was measured of the nets of a network on one device, as `profile.json` holds it.

It is read on other machines than the one that it was made on, so it says what it was made with, and nothing here
imports torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ddnn.errors import DDNNError
from ddnn_runtime.documents import Fraction, Natural, Positive

KIND, FORMAT = "ddnn profile", 1
PROFILE = "profile.json"


@dataclass(frozen=True)
class Condition:
    """How the nets were run.

    Args:
        runtime: eager, compiled or onnx.
        precision: number format of weights and activations.
        batch_size: images in a call.
        image_size: (height, width) in pixels.
        threads: threads of a call.
    """

    runtime: str
    precision: str
    batch_size: Natural
    image_size: tuple[Natural, Natural]
    threads: Natural

    def __str__(self) -> str:
        side = "x".join(map(str, self.image_size))
        plural = "" if self.threads == 1 else "s"
        return (
            f"{self.runtime}, {self.precision}, batch {self.batch_size}, {side} pixels, {self.threads} thread{plural}"
        )


@dataclass(frozen=True)
class Figures:
    """What was measured of one net under one condition.

    Args:
        macs: multiply-accumulates for one image.
        median_ms: median time of a call, in milliseconds.
        p95_ms: one call in twenty took longer.
        ratio: time over that of the full net in the same turn; the median over the turns.
        turns: calls that were timed.
        images_per_second: batch size over the median time.
        peak_memory_mb: the highest memory of a process that loads this net alone and runs it, in MB, interpreter and
            libraries included; on CUDA that of its tensors on the GPU. None where it cannot be told.
        library_memory_mb: what of it the interpreter and the libraries held before the net was loaded.
    """

    macs: Natural
    median_ms: Positive
    p95_ms: Positive
    ratio: Positive
    turns: Natural
    images_per_second: Positive
    peak_memory_mb: Positive | None = None
    library_memory_mb: Positive | None = None

    @property
    def net_memory_mb(self) -> float | None:
        """What the net adds to the libraries."""
        if self.peak_memory_mb is None:
            return None
        return self.peak_memory_mb - (self.library_memory_mb or 0.0)


@dataclass(frozen=True)
class NetFacts:
    """What is true of a net under all conditions.

    Args:
        depth: blocks per stage.
        parameters: numbers that were trained.
        file_bytes: size of the net's own safetensors file, or of its graph in an export, which has no weights in it.
        accuracy: in [0, 1]; None where it is not known.
    """

    depth: tuple[Natural, ...]
    parameters: Natural
    file_bytes: Natural
    accuracy: Fraction | None = None


@dataclass(frozen=True)
class Measured:
    """All nets under one condition."""

    condition: Condition
    nets: Mapping[str, Figures]


@dataclass(frozen=True)
class Profile:
    """What was measured on one device.

    Args:
        source: the run, network or export.
        weights: checksum of its weights.
        full: name of the full net.
        nets: shallow to deep, the full net last.
        image_size: (height, width) that they were made for, in pixels.
        shared_file_bytes: size of the one file with the weights of all nets.
        accuracy_of: on what, and in which precision, the accuracies were measured; None where they are not known.
        device_name: what the device is called.
        device: cpu, cuda or mps.
        software: versions, by the names of the packages.
        date: when, in UTC (ISO 8601).
        measured: the conditions, in the order that they were asked for.
    """

    source: str
    weights: str
    full: str
    nets: Mapping[str, NetFacts]
    image_size: tuple[Natural, Natural]
    shared_file_bytes: Natural
    accuracy_of: str | None
    device_name: str
    device: str
    software: Mapping[str, str]
    date: str
    measured: Sequence[Measured]

    def __post_init__(self) -> None:
        if self.full not in self.nets:
            raise DDNNError(f"its full net {self.full!r} is not among its nets")
        if not self.measured:
            raise DDNNError("it has no condition")
        for each in self.measured:
            if each.nets.keys() != self.nets.keys():
                raise DDNNError(f"nets are missing for {each.condition}")

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `read_profile` reads when it is stored as JSON."""
        return {"kind": KIND, "format": FORMAT, **asdict(self)}


def caveats(condition: Condition, image_size: tuple[int, int]) -> list[str]:
    """In what the accuracies were measured otherwise than the times: they come from nets as they were trained.

    Args:
        condition: of the times.
        image_size: (height, width) that the nets were made for, in pixels.
    """
    found = []
    if condition.precision in ("bf16", "fp16"):
        found.append(f"accuracies were measured in fp32, and may differ in {condition.precision}")
    if condition.image_size != image_size:
        here, there = ("x".join(map(str, size)) for size in (condition.image_size, image_size))
        found.append(f"accuracies were measured with images of {there} pixels, and will differ with {here}")
    return found
