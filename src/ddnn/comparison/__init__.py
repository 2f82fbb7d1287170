"""Which way to train the nets of one network is best: alone, pruned, jointly, by distillation, or as peers do.

The claim of the project stands or falls here, so nothing favours a method: `methods` says what each trains, `worker`
trains it with what all have in common, `pool` runs what is missing side by side, and `summary` and `report` say how
the methods differ, with intervals. `compare` puts them together.
"""

from ddnn.comparison.compare import compare
from ddnn.comparison.report import show

__all__ = ["compare", "show"]
