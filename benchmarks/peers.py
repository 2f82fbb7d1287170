"""What a step costs by EKD, in the way of Adaptive Depth Networks, and by the sandwich rule: time and memory.

python benchmarks/peers.py [--full resnet34 --subnets resnet18 --side 96 --batch 16 --repeats 9]

All train the same full net and the same smallest sub-net on the same images with the same optimizer. What was taken
from the papers and what was left out is said in adaptive_depth.py and sandwich.py. The sandwich rule stands here twice:
with the same nets as EKD's, and with two random nets between them, which is the paper's default. Where EKD is given
more than one sub-net it trains them all; the column `nets` says how many each method runs in a step.
"""

from functools import partial
from statistics import median
from typing import Any

import memory
from adaptive_depth import adaptive_depth
from command import SubnetsOption, read_subnets, run
from ddnn.errors import DDNNError
from reporting import Report
from sandwich import depths_between, sandwich
from settings import Setting
from steps import OURS, Maker, Problem, ekd
from timing import interleaved, milliseconds, ratio


def main(
    full: str = "resnet34",
    subnets: SubnetsOption = "resnet18",
    side: int = 96,
    batch: int = 16,
    between: int = 2,
    repeats: int = 9,
    output: str | None = None,
    **setting: Any,
) -> None:
    """Print times, images per second and memory of each method, and the ratios to EKD's.

    Args:
        full: the full net, a ResNet.
        subnets: its sub-nets, shallow to deep, as `ddnn train` takes them; the first is the smallest net of all
            methods.
        side: of the images, in pixels.
        batch: images in a batch.
        between: random nets of the sandwich rule between the smallest and the largest; 0 leaves that row out.
        repeats: turns that count.
        output: a JSON file for the results.
        setting: see `Setting`.
    """
    where = Setting(**setting)
    problem = Problem(full, read_subnets(subnets), side, batch)
    check_between(problem, between)
    makers: dict[str, Maker] = {
        OURS: partial(ekd, problem),
        "adaptive depth": partial(adaptive_depth, problem),
        "sandwich, same nets": partial(sandwich, problem, 0),
    }
    if between:
        makers[f"sandwich, {between} between"] = partial(sandwich, problem, between)
    nets = dict(zip(makers, (len(problem.names), 2, 2, 2 + between), strict=False))
    steps = {name: make(where) for name, make in makers.items()}
    seconds = interleaved(steps, repeats)
    report = Report("What does a step cost by EKD, and by other methods?", output)
    times = [
        {"method": name, "nets": nets[name], **milliseconds(taken), "images_per_s": batch / median(taken)}
        for name, taken in seconds.items()
    ]
    report.table(f"steps: {problem}, {where}", times)
    over = [{"EKD over": name, **ratio(seconds[OURS], seconds[name])} for name in makers if name != OURS]
    report.table(f"time of an EKD step over others: {problem}, {where}", over)
    del steps
    if memory.measurable(where):
        report.table(f"memory: {problem}, {where}", memory.rows(memory.peaks(makers, where), OURS))


def check_between(problem: Problem, between: int) -> None:
    """Refuse a number of random nets where there is none to draw."""
    if between < 0:
        raise DDNNError(f"between must be 0 or more, not {between}")
    if between and not depths_between(problem.network(), problem):
        raise DDNNError(
            f"no depth lies between {problem.names[0]} and {problem.full} to draw nets from; give --between 0"
        )


if __name__ == "__main__":
    run(main)
