"""Every pair of nets that nest, from the registry: a new family is tested by being there."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ddnn.commands.catalogue import catalogue
from tests.contract.pair import Pair, all_pairs, small_network
from tests.contract.timm_pairs import NARROW_TIMM_PAIRS, TIMM_PAIRS

__all__ = ["NARROW", "ONE_A_FAMILY", "PAIRS", "Pair", "all_pairs", "small_network"]


def _params() -> Iterator[Any]:
    """Of nets with more than 40 million parameters, one pair of each family is always tested, the others on demand;
    above 100 million, all on demand."""
    known = catalogue()  # which ships; counting anew would take every worker half a minute before the first test
    large: set[str] = set()
    for pair in all_pairs():
        millions = known[pair.family.name]["members"][pair.full]["parameters"] / 1e6
        on_demand = millions > 100 or (millions > 40 and pair.family.name in large)
        if millions > 40:
            large.add(pair.family.name)
        yield pytest.param(pair, id=str(pair), marks=pytest.mark.slow if on_demand else ())


def _narrow(param: Any) -> Any:
    (pair,) = param.values
    return pytest.param(replace(pair, narrow=True), id=param.id, marks=param.marks)


PAIRS = [*_params(), *TIMM_PAIRS]

NARROW = [*map(_narrow, _params()), *NARROW_TIMM_PAIRS]
"""The same pairs at a quarter of their width, for what does not depend on it."""


def _one_a_family() -> Iterator[Any]:
    """All pairs, narrow; all but the first of each family on demand, for tests that take long."""
    seen: set[str] = set()
    for param in NARROW:
        (pair,) = param.values
        family = pair.family.name if isinstance(pair, Pair) else "timm"
        yield pytest.param(pair, id=param.id, marks=pytest.mark.slow if family in seen else param.marks)
        seen.add(family)


ONE_A_FAMILY = list(_one_a_family())
