"""Confidence intervals, by scipy: of a share of images, of a mean, and of the mean of paired differences."""

import warnings
from collections.abc import Sequence

import numpy as np


def wilson_interval(right: int, total: int, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a proportion (Wilson, 1927).

    Args:
        right: how many, at most `total`.
        total: of how many, at least 1.
        confidence: share of such intervals that hold the true proportion, in (0, 1).

    Returns:
        (low, high), in [0, 1].

    >>> [round(bound, 3) for bound in wilson_interval(90, 100)]
    [0.826, 0.945]
    """
    from scipy.stats import binomtest  # here, because it takes longer to load than most commands take

    low, high = binomtest(right, total).proportion_ci(confidence, method="wilson")
    return float(low), float(high)


def mean_interval(values: Sequence[float] | np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a mean, m ± t s / √n (Student, 1908).

    s is the standard deviation of the values, and t the quantile of Student's distribution with n - 1 degrees of
    freedom that leaves (1 - confidence) / 2 above it. The formula takes the values for normally distributed.

    Args:
        values: at least two.
        confidence: share of such intervals that hold the true mean, in (0, 1).

    Returns:
        (low, high), in the unit of the values.

    >>> low, high = mean_interval([2.0, 3.0], confidence=0.5)
    >>> round(low, 6), round(high, 6)
    (2.0, 3.0)
    """
    from scipy.stats import ttest_1samp

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of equal values, which have an interval of no width
        low, high = ttest_1samp(values, 0.0).confidence_interval(confidence)
    return float(low), float(high)


def paired_interval(
    values: Sequence[float] | np.ndarray, baseline: Sequence[float] | np.ndarray, confidence: float = 0.95
) -> tuple[float, float]:
    """Confidence interval of the mean difference: `mean_interval` of the differences.

    Args:
        values: at least two.
        baseline: as many, in the same unit; those at the same place are a pair.
        confidence: share of such intervals that hold the true mean, in (0, 1).

    Returns:
        (low, high), in the unit of the values.

    >>> low, high = paired_interval([3.0, 5.0], [1.0, 2.0], confidence=0.5)
    >>> round(low, 6), round(high, 6)
    (2.0, 3.0)
    """
    return mean_interval(np.subtract(values, baseline), confidence)
