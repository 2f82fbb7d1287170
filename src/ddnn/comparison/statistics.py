"""What several seeds say together: pure functions of numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np

from ddnn.measuring.intervals import paired_interval


@dataclass(frozen=True)
class Difference:
    """How far one method is above another, over the seeds that both have.

    Args:
        mean: of the differences; its unit is that of the values.
        interval: confidence interval of the mean (low, high); None for one seed, which gives none.
        seeds: how many pairs there are, at least 1.
    """

    mean: float
    interval: tuple[float, float] | None
    seeds: int


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean, x̄ = Σ xᵢ / n, of at least one value.

    >>> mean([1.0, 2.0, 6.0])
    3.0
    """
    return fmean(values)


def standard_deviation(values: Sequence[float]) -> float | None:
    """The standard deviation of a sample, √(Σ (xᵢ - x̄)² / (n - 1)); None for a single value, which has no spread.

    >>> standard_deviation([1.0, 2.0, 3.0])
    1.0
    >>> standard_deviation([1.0]) is None
    True
    """
    return stdev(values) if len(values) > 1 else None


def paired_difference(
    values: Mapping[int, float], baseline: Mapping[int, float], confidence: float = 0.95
) -> Difference | None:
    """The mean difference to a baseline over the seeds that both have; see `paired_interval`.

    Args:
        values: one a seed.
        baseline: one a seed, in the same unit.
        confidence: share of such intervals that hold the true mean, in (0, 1).

    Returns:
        The difference, without an interval for one pair; None if there is no pair.

    >>> paired_difference({0: 3.0, 1: 5.0, 2: 4.0}, {1: 2.0, 3: 9.0})
    Difference(mean=3.0, interval=None, seeds=1)
    """
    seeds = [seed for seed in values if seed in baseline]
    if not seeds:
        return None
    ours, theirs = np.array([[each[seed] for seed in seeds] for each in (values, baseline)])
    interval = paired_interval(ours, theirs, confidence) if len(seeds) > 1 else None
    return Difference(float((ours - theirs).mean()), interval, len(seeds))
