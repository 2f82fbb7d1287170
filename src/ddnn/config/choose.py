"""What a sub-net must keep to, and how the ones that could be are found and measured."""

from dataclasses import dataclass
from typing import Literal

from ddnn.config.limits import Count, FinitePositive, Natural, Positive, Seconds, Seed, Share
from ddnn_runtime.configuration import check, check_types


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
        classes_from: which of the data's classes is which of the network's, where their names do not tell: a mapping
            such as '{kitten: cat, unknown: null}', in which null leaves a class out, or a file with one (.yaml or
            .json), or a text file with the network's name for each class, one a line.
        any_depth: search the depths that were not trained too. Each is calibrated and scored on images that were held
            out of the training, or on test images where none were.
        calibration_images: training images for the batch-norm statistics of a depth that was not trained.
        time_budget: seconds for the search.
        trials: the most depths that the search tries.
        seed: of the order in which it tries them.
        report: the folder for depths.json, depths.csv and pareto_front.png; None means RUN/profiles/DEVICE.
        output: a new directory, for the network with the chosen depth in it.
    """

    latency_ms: FinitePositive | None = None
    accuracy: Share | None = None
    memory_mb: FinitePositive | None = None
    on: str | None = None
    runtime: Literal["eager", "compiled", "onnx"] | None = None
    batch_size: Count | None = None
    image_size: Count | None = None
    threads: Count | None = None
    precision: Literal["fp32", "bf16", "fp16", "int8"] | None = None
    seconds: Seconds = 2.0
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    data: str | None = None
    data_root: str = "data"
    max_corrupt: Natural | None = None
    classes_from: str | dict[str, str | None] | None = None
    any_depth: bool = False
    calibration_images: Count = 1000
    time_budget: Positive = 300.0
    trials: Count = 100
    seed: Seed = 0
    report: str | None = None
    output: str | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check(
            any(bound is not None for bound in (self.latency_ms, self.accuracy, self.memory_mb)),
            "give at least one bound: --latency_ms, --accuracy or --memory_mb",
        )
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
