"""What one EKD step costs in time and memory, against the stock models' own steps and against EKD that shares nothing.

python benchmarks/train_step.py [--preset resnet34 | --preset all | --full resnet56 --subnets resnet20,resnet32]

Time is that of whole steps: forward, backward and update, in float32 on a CPU by default. The stock models' steps stand
there twice, with torch's default SGD and with the fused one of `ddnn train`. Memory is measured as memory.py says.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any, Literal

import torch
from jsonargparse import auto_cli

import memory
from reporting import Report
from settings import Setting
from steps import Maker, Problem, TrainingStep, alone, ekd, unshared
from timing import interleaved, milliseconds, now, ratio

PRESETS = {
    "resnet34": Problem("resnet34", ("resnet18",), side=96, batch=16),
    "resnet101": Problem("resnet101", ("resnet50",), side=96, batch=16),
    "resnet56": Problem("resnet56", ("resnet20", "resnet32", "resnet44"), side=32, batch=64),
    "densenet169": Problem("densenet169", ("densenet121",), side=96, batch=16),
    "convnext_small": Problem("convnext_small", ("convnext_tiny",), side=96, batch=8),
}
EKD, UNSHARED = "EKD", "EKD, nothing shared"


def main(
    preset: Literal["resnet34", "resnet101", "resnet56", "densenet169", "convnext_small", "all"] = "resnet34",
    full: str | None = None,
    subnets: str = "",
    side: int | None = None,
    batch: int | None = None,
    repeats: int = 9,
    output: str | None = None,
    **setting: Any,
) -> None:
    """Print times, their ratios, the parts of a step, and memory.

    Args:
        preset: nets and images, by the name of the full net.
        full: a full net of your own choice, instead of a preset.
        subnets: its sub-nets, with commas between them.
        side: of the images in pixels; None means the preset's, or 96.
        batch: images in a batch; None means the preset's, or 16.
        repeats: turns that count.
        output: a JSON file for the results.
        setting: see `Setting`.
    """
    where = Setting(**setting)
    if full is not None:
        problems = [Problem(full, tuple(subnets.split(",")) if subnets else (), side=96, batch=16)]
    else:
        problems = list(PRESETS.values()) if preset == "all" else [PRESETS[preset]]
    report = Report("What does one EKD step cost?", output)
    for problem in problems:
        measure(replace(problem, side=side or problem.side, batch=batch or problem.batch), where, repeats, report)


def measure(problem: Problem, setting: Setting, repeats: int, report: Report) -> None:
    """All tables of one network."""
    title = f"{problem}, {setting}"
    joint: dict[str, Maker] = {EKD: partial(ekd, problem), UNSHARED: partial(unshared, problem)}
    default: dict[str, Maker] = {
        f"{name}, torch's SGD": partial(alone, problem, name, fused=False) for name in problem.names
    }
    fused: dict[str, Maker] = {f"{name}, fused SGD": partial(alone, problem, name) for name in problem.names}
    steps = {name: make(setting) for name, make in (joint | default | fused).items()}
    seconds = interleaved(steps, repeats)
    report.table(f"steps: {title}", [{"step": name, **milliseconds(taken)} for name, taken in seconds.items()])
    report.table(f"an EKD step over others: {title}", ratios(seconds, list(default), list(fused)))
    parts = [shares(name, steps[name], repeats) for name in (EKD, list(fused)[-1])]
    report.table(f"shares of a step: {title}", parts)
    del steps
    if memory.measurable(setting):
        report.table(f"memory: {title}", memory_rows(joint | fused, list(fused), setting))


def ratios(seconds: Mapping[str, list[float]], default: list[str], fused: list[str]) -> list[dict[str, Any]]:
    """The EKD step's time over that of others; the full net is the last in each list."""
    against = {
        "sum of the stock steps, torch's SGD": default,
        "sum of the stock steps, fused SGD as EKD's": fused,
        "the full net's stock step, torch's SGD": default[-1:],
        "the full net's stock step, fused SGD as EKD's": fused[-1:],
        "EKD with nothing shared": [UNSHARED],
    }
    return [
        {"EKD over": what, **ratio(seconds[EKD], *(seconds[name] for name in names))} for what, names in against.items()
    ]


def shares(name: str, step: TrainingStep, repeats: int) -> dict[str, Any]:
    """How a step's time divides up: the mean shares over so many steps."""
    timed = [phases(step) for _ in range(repeats)]
    forward, backward, update = (fmean(phase) for phase in zip(*timed, strict=True))
    whole = forward + backward + update
    return {"step": name, "forward": forward / whole, "backward": backward / whole, "optimizer": update / whole}


def phases(step: TrainingStep) -> tuple[float, float, float]:
    """Seconds of forward with the objective, backward, and update, in one step of a single pass."""
    (forward,) = step.passes
    step.optimizer.zero_grad()
    marks = [now()]
    loss = forward(*step.data)
    marks.append(now())
    loss.backward()
    marks.append(now())
    step.optimizer.step()
    marks.append(now())
    first, second, third, fourth = marks
    return second - first, third - second, fourth - third


def memory_rows(makers: Mapping[str, Maker], stock: list[str], setting: Setting) -> list[dict[str, Any]]:
    """Peaks and their ratios; one by one, training needs what the largest of the stock steps does."""
    taken = memory.peaks(makers, setting)
    taken["stock models one by one"] = max(taken[name] for name in stock)
    return memory.rows(taken, stock[-1])


if __name__ == "__main__":
    torch.manual_seed(0)
    auto_cli(main)
