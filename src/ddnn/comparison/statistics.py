"""What several seeds say together: pure functions of numbers, so that they can be checked against scipy's own tests."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import fmean, stdev

from scipy.stats import t as student_t


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
    """The mean difference to a baseline, d̄ ± t s / √n, over the n seeds that both have (Student, 1908).

    s is the standard deviation of the differences, and t the quantile of Student's distribution with n - 1 degrees of
    freedom that leaves (1 - confidence) / 2 above it. The formula takes the differences for normally distributed.

    Args:
        values: one a seed.
        baseline: one a seed, in the same unit.
        confidence: share of such intervals that hold the true mean, in (0, 1).

    Returns:
        The difference, without an interval for one pair; None if there is no pair.

    >>> paired_difference({0: 3.0, 1: 5.0, 2: 4.0}, {0: 1.0, 1: 2.0, 3: 9.0}, confidence=0.5)
    Difference(mean=2.5, interval=(2.0, 3.0), seeds=2)
    """
    gaps = [value - baseline[seed] for seed, value in values.items() if seed in baseline]
    if not gaps:
        return None
    centre, spread = mean(gaps), standard_deviation(gaps)
    if spread is None:
        return Difference(centre, None, len(gaps))
    quantile = float(student_t.ppf((1 + confidence) / 2, len(gaps) - 1))
    margin = quantile * spread / sqrt(len(gaps))
    return Difference(centre, (centre - margin, centre + margin), len(gaps))
