"""What a cascade does on test images, against every fixed depth."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ddnn_runtime.cascade_spec import CalibratedOn


@dataclass(frozen=True)
class FixedNet:
    """One net that answers all images.

    Args:
        held_out_accuracy: on the images that thresholds were chosen on, in [0, 1].
        accuracy: on the test images.
        interval: its 95 % confidence interval (Wilson, 1927).
        macs: multiply-accumulates of an image.
        ms: milliseconds of an image, the mean over many.
        ms_plus_minus: a 95 % interval of it.
    """

    held_out_accuracy: float
    accuracy: float
    interval: tuple[float, float]
    macs: float
    ms: float
    ms_plus_minus: float


@dataclass(frozen=True)
class MeasuredCascade:
    """A cascade; its thresholds were chosen on held-out images.

    Args:
        thresholds: of its nets but the last.
        last: the net that answers what is left.
        held_out_accuracy: on the images that thresholds were chosen on.
        held_out_cost: there, the mean of an image in the unit of the calibration.
        accuracy: on the test images.
        interval: its 95 % confidence interval.
        macs: multiply-accumulates of a test image, on average.
        ms: milliseconds of a test image, the mean over many.
        ms_plus_minus: a 95 % interval of it.
        answered: share of the test images that each of its nets answered.
        boost: share of the logits of the net asked before that each of its nets adds to its own.
    """

    thresholds: Mapping[str, float]
    last: str
    held_out_accuracy: float
    held_out_cost: float
    accuracy: float
    interval: tuple[float, float]
    macs: float
    ms: float
    ms_plus_minus: float
    answered: Mapping[str, float]
    boost: float = 0.0

    @property
    def names(self) -> tuple[str, ...]:
        """Its nets, shallow to deep."""
        return (*self.thresholds, self.last)


@dataclass(frozen=True)
class Comparison:
    """The chosen cascade against the most accurate fixed depth.

    Args:
        net: that depth: the net with the highest accuracy on the test images, the shallowest where some are equal.
        accuracy_difference: of the cascade to the net, on the test images.
        accuracy_interval: its 95 % interval; both saw the same images.
        macs_ratio: of an image, the cascade over the net.
        ms_ratio: likewise.
        ms_ratio_plus_minus: a 95 % interval of it.
    """

    net: str
    accuracy_difference: float
    accuracy_interval: tuple[float, float]
    macs_ratio: float
    ms_ratio: float
    ms_ratio_plus_minus: float


@dataclass(frozen=True)
class Report:
    """All that `ddnn cascade` finds out.

    Args:
        run: the directory.
        engine: what ran the nets.
        device: what it ran on.
        threads: of a call.
        batch_size: images in a batch whose time was measured.
        timed_batches: how many were.
        calibrated_on: the images that thresholds were chosen on.
        test_images: how many.
        target: what was to be reached on the held-out images.
        unit: of the cost that the calibration went by.
        nets: every fixed depth, shallow to deep.
        cascade: the chosen one.
        curve: others, from the cheapest to the most accurate on the held-out images.
        comparison: of the chosen one with the best fixed depth.
        verdict: that in words.
        without_boost: the cascade that would have been chosen without a share of earlier logits, where such shares were
            tried; None where none reaches the target.
    """

    run: str
    engine: str
    device: str
    threads: int
    batch_size: int
    timed_batches: int
    calibrated_on: CalibratedOn
    test_images: int
    target: Mapping[str, float]
    unit: Literal["macs", "ms"]
    nets: Mapping[str, FixedNet]
    cascade: MeasuredCascade
    curve: tuple[MeasuredCascade, ...]
    comparison: Comparison
    verdict: str = ""
    without_boost: MeasuredCascade | None = None

    def to_json(self) -> dict[str, Any]:
        """As `report.json` has it."""
        return asdict(self)
