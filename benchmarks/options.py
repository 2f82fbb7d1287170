"""What some options of `ddnn train` do to the time and memory of an EKD step.

python benchmarks/options.py [--preset resnet34 --compile true --repeats 9]

Every row is one step of the same network on the same images, with an option, over the step without any. Compiling takes
a minute or more, so it is measured only if it is asked for.
"""

from dataclasses import replace
from functools import partial

import memory
from command import SubnetsOption, run
from reporting import Report
from settings import Setting
from steps import Maker, Problem, ekd
from timing import interleaved, milliseconds, ratio
from train_step import chosen_problems

PLAIN, RECOMPUTED, AVERAGED = "none", "activation checkpointing", "averaged teacher, no attention"


def main(
    preset: str | None = None,
    full: str | None = None,
    subnets: SubnetsOption | None = None,
    side: int | None = None,
    batch: int | None = None,
    compile: bool = False,
    repeats: int = 9,
    output: str | None = None,
    device: str = "cpu",
) -> None:
    """Print times and memory.

    Args:
        preset: nets and images, a preset of train_step.py, or all; resnet34 if nothing else is asked for.
        full: a full net of your own choice, instead of a preset.
        subnets: its sub-nets, as `ddnn train` takes them.
        side: of the images in pixels; None means the preset's, or 96.
        batch: images in a batch; None means the preset's, or 16.
        compile: the compiled step, too.
        repeats: turns that count.
        output: a JSON file for the results.
        device: cpu or cuda.
    """
    report = Report("What does each option do to an EKD step?", output)
    for problem in chosen_problems(preset, full, subnets, side, batch):
        measure(problem, Setting(device=device), compile, repeats, report)  # pyright: ignore[reportArgumentType]


def measure(problem: Problem, plain: Setting, compile: bool, repeats: int, report: Report) -> None:
    """Both tables of one network."""
    settings = {
        PLAIN: plain,
        "bf16": replace(plain, precision="bf16"),
        "channels-last": replace(plain, channels_last=True),
        "bf16, channels-last": replace(plain, precision="bf16", channels_last=True),
        **({"compiled": replace(plain, compile=True)} if compile else {}),
    }
    steps = {name: ekd(problem, setting) for name, setting in settings.items()}
    steps[RECOMPUTED] = ekd(problem, plain, recompute=True)
    steps[AVERAGED] = ekd(problem, plain, averaged=True)
    seconds = interleaved(steps, repeats)
    rows = [
        {"option": name, "median_ms": milliseconds(taken)["median_ms"], **ratio(taken, seconds[PLAIN])}
        for name, taken in seconds.items()
    ]
    report.table(f"an EKD step with an option over the step without: {problem}, {plain}", rows)
    makers: dict[str, Maker] = {
        PLAIN: partial(ekd, problem),
        RECOMPUTED: partial(ekd, problem, recompute=True),
        AVERAGED: partial(ekd, problem, averaged=True),
    }
    report.table(f"memory: {problem}, {plain}", memory.rows(memory.peaks(makers, plain), PLAIN))


if __name__ == "__main__":
    run(main)
