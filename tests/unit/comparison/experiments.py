"""Made-up experiments for the tests of this package."""

from collections.abc import Mapping, Sequence
from typing import Any

from ddnn.comparison.summary import MethodRun, NetFacts, summarise
from ddnn.measuring.evaluation import Score

NETS = {
    "small": NetFacts((1, 1, 1), 78_042, 12_500_000),
    "middle": NetFacts((2, 2, 2), 175_258, 26_700_000),
    "full": NetFacts((3, 3, 3), 272_474, 40_900_000),
}


def score(accuracy: float, nll: float = 0.7) -> Score:
    return Score(accuracy, (accuracy - 0.01, accuracy + 0.01), nll, 0.03, 10_000)


def run(
    method: str, seed: int, accuracies: Sequence[float], names: Sequence[str] = tuple(NETS), **facts: Any
) -> MethodRun:
    scores = {name: score(accuracy) for name, accuracy in zip(names, accuracies, strict=True)}
    return MethodRun(method, seed, scores, **{"seconds": 10.0 + seed, "peak_memory_mb": 100.0 + seed, **facts})


def summary_of(runs: Sequence[MethodRun], nets: Mapping[str, NetFacts] = NETS, **options: Any) -> dict[str, Any]:
    names = {"experiment": "digits", "command": "ddnn compare", "devices": {"a CPU": 8}, "split": "test", "config": {}}
    return summarise(runs, nets, **{**names, **options})


def usual() -> list[MethodRun]:
    """Two seeds of alone, pruned, joint and ekd."""
    untrained = {"untrained": ("small", "middle")}
    return [
        *(run("alone", seed, (0.700 + seed / 100, 0.760, 0.780 + seed / 500)) for seed in (0, 1)),
        *(run("pruned", seed, (0.100, 0.420, 0.780), **untrained) for seed in (0, 1)),
        *(run("joint", seed, (0.701, 0.762, 0.775 + seed / 500)) for seed in (0, 1)),
        *(run("ekd", seed, (0.712 + seed / 100, 0.770 + seed / 1000, 0.782)) for seed in (0, 1)),
    ]
