"""How a network is put into int8, and what that may cost."""

from dataclasses import dataclass
from typing import Literal

from ddnn.config.limits import Count, FinitePositive, Natural, ShareBelow1
from ddnn_runtime.configuration import check, check_types

USUAL_DROP = 0.01
"""What accuracy may fall by where no bound is given: one in a hundred images."""


@dataclass(frozen=True)
class QuantizeConfig:
    """The bound, and the images that decide.

    Args:
        output: a folder that does not exist, for an export as `ddnn export` writes it; None means RUN/export-int8.
        max_drop: the most that the accuracy of any net may fall by, a share in [0, 1); as many blocks as this allows
            are put into int8. None means 0.01, unless latency_ms is given.
        latency_ms: the most milliseconds that the full net may take here for one image; as few blocks as this needs
            are put into int8. Give it instead of max_drop.
        calibration_images: training images from which the ranges of activations are found.
        validation_images: held-out images on which accuracies are compared while blocks are chosen.
        weight_bits: bits of the codes of weights. 8 is a little closer to float, but needs a processor with VNNI or the
            like: without it, sums of 8-bit products are cut off (docs/quantization.md).
        threads: threads of a call of a net; None means as many as there are cores.
        data: the data set, as for `ddnn evaluate`; None means what the run was trained on.
        data_root: where cifar10 and cifar100 are, or are downloaded to.
        workers: processes that decode large images; None means one a core, at most 8.
        classes_from: which of the data's classes is which of the network's, where their names do not tell; as for
            ddnn evaluate.
        max_corrupt: leave out at most so many images of a split that cannot be decoded, and name each; 0 refuses the
            first. None means what the run was trained with, or 0 with other data.
    """

    output: str | None = None
    max_drop: ShareBelow1 | None = None
    latency_ms: FinitePositive | None = None
    calibration_images: Count = 256
    validation_images: Count = 1000
    weight_bits: Literal[7, 8] = 7
    threads: Count | None = None
    data: str | None = None
    data_root: str = "data"
    workers: Natural | None = None
    max_corrupt: Natural | None = None
    classes_from: str | dict[str, str | None] | None = None

    def __post_init__(self) -> None:
        check_types(self)
        check(
            self.max_drop is None or self.latency_ms is None,
            "max_drop and latency_ms exclude each other: give the bound that decides; the report has both figures",
        )

    @property
    def drop_bound(self) -> float:
        """The bound on the accuracy, where that decides."""
        return USUAL_DROP if self.max_drop is None else self.max_drop
