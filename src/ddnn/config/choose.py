"""What a sub-net must keep to, and how the ones that could be are found and measured."""

from dataclasses import dataclass
from typing import Literal

from ddnn.config.fields import check, check_max_corrupt, check_types
from ddnn.config.profile import check_seconds


@dataclass(frozen=True)
class ChooseConfig:
    """The bounds, and where the figures come from.

    Args:
        latency_ms: the most milliseconds that a call may take (the median of many).
        accuracy: the least accuracy, in (0, 1].
        memory_mb: the most memory in MB that a process which runs the net alone may hold, libraries included.
        on: a profile that `ddnn profile` made, here or elsewhere, or its folder; None measures here and now.
        runtime: what runs the net: eager, compiled or onnx. None means what the profile has; without a profile eager,
            or onnx for an export.
        batch_size: images in a call; None means what the profile has, or 1 without a profile.
        image_size: side of the images in pixels; None means what the profile has, or the network's own.
        threads: threads of a call; None means what the profile has, or all cores.
        precision: number format; None means what the profile has, or fp32 (an export's own).
        seconds: time for a measurement here.
        device: where to run; auto takes CUDA or MPS if there is one.
        data: the data set for accuracies; None means what the run was trained on. Without --any_depth it is needed only
            if the accuracies are not known. The nets are then scored on its test images.
        data_root: where cifar10 and cifar100 are, or are downloaded to.
        max_corrupt: leave out at most so many images of a split that cannot be decoded, and name each; 0 refuses the
            first. None means what the run was trained with, or 0 with other data.
        any_depth: search the depths that were not trained too. Each is calibrated and scored on images that were held
            out of the training, or on test images where none were.
        calibration_images: training images for the batch-norm statistics of a depth that was not trained.
        time_budget: seconds for the search.
        trials: the most depths that the search tries.
        seed: of the order in which it tries them.
        report: the folder for depths.json, depths.csv and pareto_front.png; None means RUN/profiles/DEVICE.
        output: a new directory, for the network with the chosen depth in it.
    """

    latency_ms: float | None = None
    accuracy: float | None = None
    memory_mb: float | None = None
    on: str | None = None
    runtime: Literal["eager", "compiled", "onnx"] | None = None
    batch_size: int | None = None
    image_size: int | None = None
    threads: int | None = None
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None
    seconds: float = 2.0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    data: str | None = None
    data_root: str = "data"
    max_corrupt: int | None = None
    any_depth: bool = False
    calibration_images: int = 1000
    time_budget: float = 300.0
    trials: int = 100
    seed: int = 0
    report: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        self._check_bounds()
        for key in ("batch_size", "image_size", "threads", "calibration_images", "trials"):
            value = getattr(self, key)
            check(value is None or value >= 1, f"{key} must be at least 1, not {value}")
        check_seconds(self.seconds)
        check_max_corrupt(self.max_corrupt)
        check(self.time_budget > 0, f"time_budget must be above 0 seconds, not {self.time_budget}")
        check(0 <= self.seed < 2**32, f"seed must be in [0, 2^32), not {self.seed}")
        check(
            not (self.any_depth and self.on),
            "--any_depth measures depths that no profile has, so it cannot be done for another device: leave out "
            "--on, and run it on the device itself",
        )
        for key in ("report", "output"):
            check(
                self.any_depth or getattr(self, key) is None,
                f"--{key} is for what --any_depth finds; without it there is nothing to write",
            )

    def _check_bounds(self) -> None:
        bounds = (self.latency_ms, self.accuracy, self.memory_mb)
        check(
            any(bound is not None for bound in bounds),
            "give at least one bound: --latency_ms, --accuracy or --memory_mb",
        )
        for key in ("latency_ms", "memory_mb"):
            value = getattr(self, key)
            check(value is None or 0 < value < float("inf"), f"{key} must be above 0, not {value}")
        accuracy = self.accuracy
        if accuracy is not None and 1 < accuracy <= 100:
            check(
                False,
                f"accuracy must be a share in (0, 1], not {accuracy:g}; for {accuracy:g} % give {accuracy / 100:g}",
            )
        check(accuracy is None or 0 < accuracy <= 1, f"accuracy must be a share in (0, 1], not {accuracy}")
