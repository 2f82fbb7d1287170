"""The Pareto front: what nothing else beats, being as cheap and as good, and better in one of both."""

from collections.abc import Sequence

import numpy as np


def pareto(costs: np.ndarray | Sequence[float], values: np.ndarray | Sequence[float]) -> np.ndarray:
    """Which of several things are beaten by none, from cheap to good; of equal ones, the first.

    Args:
        costs: what each costs, of shape (things,).
        values: how good each is, likewise.

    Returns:
        Their places, int64 of shape (things on the front,).

    >>> pareto([1.0, 2.0, 3.0, 3.0], [0.90, 0.80, 0.95, 0.95]).tolist()
    [0, 2]
    """
    costs, values = np.asarray(costs), np.asarray(values)
    order = np.lexsort((-values, costs))
    best = np.maximum.accumulate(values[order])
    better = np.ones(len(order), dtype=bool)
    better[1:] = best[1:] > best[:-1]
    return order[better]
