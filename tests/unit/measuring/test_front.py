"""Against the definition, pair by pair."""

import numpy as np
import pytest

from ddnn.measuring.front import pareto


@pytest.mark.parametrize("seed", range(5))
def test_what_nothing_beats(seed: int) -> None:
    costs, values = np.random.default_rng(seed).integers(0, 6, (2, 30)) / 4.0

    def beats(a: int, b: int) -> bool:
        as_good = costs[a] <= costs[b] and values[a] >= values[b]
        return as_good and (costs[a] < costs[b] or values[a] > values[b] or a < b)

    unbeaten = [b for b in range(30) if not any(beats(a, b) for a in range(30) if a != b)]
    assert pareto(costs, values).tolist() == sorted(unbeaten, key=lambda place: costs[place])


def test_of_nothing_there_is_no_front() -> None:
    assert pareto([], []).tolist() == []
