"""How much longer calls take in a server at work than the table says, which was measured while nothing else ran.

Requests are parsed, decoded and answered on the same cores while nets run, and a device may get slower when it is warm.
"""

from dataclasses import replace
from math import ceil, log

from ddnn_runtime.serving.table import Table

_UP, _DOWN = 0.3, 0.03
"""Shares of a new observation: a server that gets slower believes it soon, one that gets faster not at once."""
_LONGEST = 20.0
"""Times as long as the table says; what takes longer was no matter of pace."""
_STEP = 1.1
"""Tables are made anew when the slowness has changed by so much."""


class Slowness:
    """A table that follows what calls take.

    Args:
        table: as it was measured.

    >>> table = Table((1, 4), {"resnet8": (0.01, 0.03)}, {"resnet8": None})
    >>> slowness = Slowness(table)
    >>> for _ in range(50):
    ...     slowness.saw(expected=0.01, took=0.02)
    >>> 0.02 <= slowness.table.cost("resnet8", 1) < 0.022
    True
    """

    def __init__(self, table: Table) -> None:
        self._measured, self._factor = table, 1.0
        self._tables = {0: table}

    @property
    def table(self) -> Table:
        """What calls cost now; never less than was measured."""
        step = max(0, ceil(log(self._factor, _STEP) - 1e-3))
        if step not in self._tables:
            self._tables[step] = _slower(self._measured, _STEP**step)
        return self._tables[step]

    def saw(self, expected: float, took: float) -> None:
        """A call that should have taken so many seconds, by the measured table, took others, until its answers were on
        their way."""
        ratio = min(_LONGEST, max(1.0, took / expected))
        self._factor += (_UP if ratio > self._factor else _DOWN) * (ratio - self._factor)


def _slower(table: Table, factor: float) -> Table:
    seconds = {name: tuple(factor * time for time in row) for name, row in table.seconds.items()}
    cascade = None if table.cascade is None else tuple(factor * time for time in table.cascade)
    return replace(table, seconds=seconds, cascade=cascade)
