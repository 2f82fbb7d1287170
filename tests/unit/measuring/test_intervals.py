"""Against the formulas written out."""

import warnings
from math import sqrt

import numpy as np
import pytest
from scipy.stats import t as student_t

from ddnn.measuring.intervals import paired_interval, wilson_interval


@pytest.mark.parametrize(("right", "total"), [(0, 10), (1, 1), (81, 263), (9000, 10000)])
def test_wilson_s_interval(right: int, total: int) -> None:
    z, share = 1.959963984540054, right / total
    centre, margin = share + z * z / (2 * total), z * sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    scale = 1 + z * z / total
    expected = ((centre - margin) / scale, (centre + margin) / scale)
    assert wilson_interval(right, total) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("pairs", [2, 3, 20])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_student_s_interval(pairs: int, confidence: float) -> None:
    values, baseline = np.random.default_rng(pairs).uniform(size=(2, pairs))
    gaps = values - baseline
    margin = student_t.ppf((1 + confidence) / 2, pairs - 1) * gaps.std(ddof=1) / sqrt(pairs)
    expected = (gaps.mean() - margin, gaps.mean() + margin)
    assert paired_interval(values, baseline, confidence) == pytest.approx(expected)


def test_equal_differences_are_no_reason_to_warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert paired_interval([0.5, 0.75, 1.0], [0.25, 0.5, 0.75]) == (0.25, 0.25)
