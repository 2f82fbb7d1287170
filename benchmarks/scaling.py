"""How the cost of an EKD step grows: with the number of sub-nets, the depth, the batch and the resolution.

python benchmarks/scaling.py [--sweep subnets | depth | batch | resolution | all] [--repeats 7]

At each point the step's time stands over that of the full net's own stock step, and over the sum of the stock steps of
all its nets, all with the optimizer of `ddnn train`.

- subnets: ResNet-56 for 32x32 images with 1, 2, 4 and 8 sub-nets, evenly spread over its depth;
- depth: ResNet-20 to 110 for 32x32 images, each with one sub-net of half its blocks;
- batch: {ResNet-18, 34} on 64x64 images, 4 to 32 of them;
- resolution: {ResNet-18, 34} on 8 images, 64x64 to 160x160.
"""

from functools import partial
from statistics import median
from typing import Any, Literal

from command import run
from reporting import Report
from settings import Setting
from steps import OURS, Maker, Problem, alone, ekd
from timing import interleaved, ratio

SMALL_SIDE, SMALL_BATCH = 32, 32


def by_subnets() -> dict[str, Problem]:
    """More and more sub-nets in one full net of nine blocks a stage."""
    problems = {}
    for count in (1, 2, 4, 8):
        blocks = [round(9 * number / (count + 1)) for number in range(1, count + 1)]
        subnets = {f"blocks{b}": (b, b, b) for b in blocks}
        problems[f"{count} sub-net{'s' * (count > 1)}"] = Problem("resnet56", subnets, SMALL_SIDE, SMALL_BATCH)
    return problems


def by_depth() -> dict[str, Problem]:
    """Deeper and deeper full nets with one sub-net of half the blocks, rounded down."""
    problems = {}
    for blocks in (3, 5, 7, 9, 18):
        half = blocks // 2
        full = f"resnet{6 * blocks + 2}"
        problems[f"depth {6 * blocks + 2}"] = Problem(full, {"half": (half, half, half)}, SMALL_SIDE, SMALL_BATCH)
    return problems


def by_batch() -> dict[str, Problem]:
    """Larger and larger batches."""
    return {f"batch {batch}": Problem("resnet34", ("resnet18",), 64, batch) for batch in (4, 8, 16, 32)}


def by_resolution() -> dict[str, Problem]:
    """Larger and larger images."""
    return {f"{side}x{side}": Problem("resnet34", ("resnet18",), side, 8) for side in (64, 96, 128, 160)}


SWEEPS = {"subnets": by_subnets, "depth": by_depth, "batch": by_batch, "resolution": by_resolution}


def main(
    sweep: Literal["subnets", "depth", "batch", "resolution", "all"] = "all",
    repeats: int = 7,
    output: str | None = None,
    **setting: Any,
) -> None:
    """Print the ratios at each point.

    Args:
        sweep: what grows.
        repeats: turns that count.
        output: a JSON file for the results.
        setting: see `Setting`.
    """
    where = Setting(**setting)
    report = Report("How does the cost of an EKD step grow?", output)
    for name in SWEEPS if sweep == "all" else [sweep]:
        problems = SWEEPS[name]()
        rows = [row for point, problem in problems.items() for row in measure(point, problem, where, repeats)]
        report.table(f"an EKD step over stock steps, by {name}: {where}", rows)


def measure(point: str, problem: Problem, setting: Setting, repeats: int) -> list[dict[str, Any]]:
    """The two rows of one point."""
    stock: dict[str, Maker] = {name: partial(alone, problem, name) for name in problem.names}
    makers: dict[str, Maker] = {OURS: partial(ekd, problem), **stock}
    seconds = interleaved({name: make(setting) for name, make in makers.items()}, repeats)
    facts = {"point": point, "ekd_ms": 1e3 * median(seconds[OURS])}
    against = {"the full net's step": [problem.full], "the sum of the stock steps": list(stock)}
    return [
        {**facts, "EKD over": what, **ratio(seconds[OURS], *(seconds[name] for name in names))}
        for what, names in against.items()
    ]


if __name__ == "__main__":
    run(main)
