"""Against scipy's paired test, and against what must hold for any numbers."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_rel

from ddnn.comparison.statistics import mean, paired_difference, standard_deviation

SHARES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=2, max_size=12)


def _by_seed(pairs: list[tuple[float, float]]) -> tuple[dict[int, float], dict[int, float]]:
    return dict(enumerate(a for a, _ in pairs)), dict(enumerate(b for _, b in pairs))


@given(SHARES)
def test_mean_and_standard_deviation_are_numpys(pairs: list[tuple[float, float]]) -> None:
    values = [value for value, _ in pairs]
    assert mean(values) == pytest.approx(float(numpy.mean(values)))
    assert standard_deviation(values) == pytest.approx(float(numpy.std(values, ddof=1)), abs=1e-12)


@pytest.mark.parametrize("seeds", [2, 3, 5, 20])
@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_interval_is_scipys(seeds: int, confidence: float) -> None:
    values, baseline = numpy.random.default_rng(seeds).uniform(size=(2, seeds))
    difference = paired_difference(dict(enumerate(values)), dict(enumerate(baseline)), confidence)
    assert difference is not None
    assert difference.seeds == seeds
    assert difference.interval == pytest.approx(ttest_rel(values, baseline).confidence_interval(confidence))


@given(SHARES)
def test_interval_lies_around_its_mean(pairs: list[tuple[float, float]]) -> None:
    difference = paired_difference(*_by_seed(pairs))
    assert difference is not None
    assert difference.interval is not None
    low, high = difference.interval
    assert low <= difference.mean <= high
    assert (low + high) / 2 == pytest.approx(difference.mean, abs=1e-12)


@given(SHARES, st.floats(-1, 1))
def test_a_shift_of_both_changes_nothing(pairs: list[tuple[float, float]], shift: float) -> None:
    difference = paired_difference(*_by_seed(pairs))
    shifted = paired_difference(*_by_seed([(a + shift, b + shift) for a, b in pairs]))
    assert difference is not None
    assert shifted is not None
    assert shifted.mean == pytest.approx(difference.mean, abs=1e-12)
    assert shifted.interval == pytest.approx(difference.interval, abs=1e-10)


def test_only_seeds_that_both_have_are_paired() -> None:
    difference = paired_difference({1: 0.5, 7: 0.9, 3: 0.6}, {3: 0.5, 2: 0.1, 1: 0.3})
    assert difference is not None
    assert difference.seeds == 2
    assert difference.mean == pytest.approx(0.15)


def test_one_pair_has_no_interval_and_none_no_difference() -> None:
    difference = paired_difference({0: 0.5, 1: 0.9}, {0: 0.25})
    assert difference is not None
    assert (difference.mean, difference.interval, difference.seeds) == (0.25, None, 1)
    assert paired_difference({0: 0.5}, {1: 0.5}) is None


def test_equal_differences_have_an_interval_of_no_width() -> None:
    difference = paired_difference({0: 0.5, 1: 0.75}, {0: 0.25, 1: 0.5})
    assert difference is not None
    assert difference.interval == (0.25, 0.25)
