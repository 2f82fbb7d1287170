"""What one EKD step costs in time and memory, against the stock models' own steps and against EKD that shares nothing.

python benchmarks/train_step.py [--preset resnet34 | --preset all | --full resnet56 --subnets resnet20,resnet32
                                 | --full vit_b_16 --subnets '{half: [6]}' --side 64]

Time is that of whole steps: forward, backward and update, in float32 on a CPU by default. The stock models' steps stand
there twice, with torch's default SGD and with the fused one of `ddnn train`. Memory is measured as memory.py says.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from statistics import fmean
from typing import Any

from command import SubnetsOption, read_subnets, run
from ddnn.errors import DDNNError, near
from memory import measurable, peaks, rows
from reporting import Report
from settings import Setting
from steps import OURS, Iteration, Maker, Problem, alone, ekd, unshared
from timing import interleaved, milliseconds, now, ratio

PRESETS = {
    "resnet34": Problem("resnet34", ("resnet18",), side=96, batch=16),
    "resnet101": Problem("resnet101", ("resnet50",), side=96, batch=16),
    "wide_resnet101_2": Problem("wide_resnet101_2", ("wide_resnet50_2",), side=64, batch=2),
    "vgg13": Problem("vgg13", ("vgg11",), side=64, batch=8),
    "vgg13_bn": Problem("vgg13_bn", ("vgg11_bn",), side=64, batch=8),
    "densenet169": Problem("densenet169", ("densenet121",), side=96, batch=16),
    "convnext_small": Problem("convnext_small", ("convnext_tiny",), side=96, batch=8),
    "swin_s": Problem("swin_s", ("swin_t",), side=64, batch=8),
    "swin_v2_s": Problem("swin_v2_s", ("swin_v2_t",), side=64, batch=8),
    "vit_b_16": Problem("vit_b_16", {"half": (6,)}, side=224, batch=2),
    "vit_b_32": Problem("vit_b_32", {"half": (6,)}, side=224, batch=2),
    "vit_l_16": Problem("vit_l_16", {"half": (12,)}, side=64, batch=2),
    "vit_l_32": Problem("vit_l_32", {"half": (12,)}, side=128, batch=2),
    "resnet56": Problem("resnet56", ("resnet20", "resnet32", "resnet44"), side=32, batch=64),
    "wrn28": Problem("wrn28", ("wrn16", "wrn22"), side=32, batch=16),
    "cifar_vgg16_bn": Problem("cifar_vgg16_bn", ("cifar_vgg11_bn", "cifar_vgg13_bn"), side=32, batch=32),
    "densenet100_bc": Problem("densenet100_bc", ("densenet40_bc",), side=32, batch=16),
}
"""One network of each family, by the name of its full net."""

UNSHARED = "EKD, nothing shared"


def main(
    preset: str | None = None,
    full: str | None = None,
    subnets: SubnetsOption | None = None,
    side: int | None = None,
    batch: int | None = None,
    repeats: int = 9,
    memory: bool = True,
    output: str | None = None,
    **setting: Any,
) -> None:
    """Print times, their ratios, the parts of a step, and memory.

    Args:
        preset: nets and images, by the name of the full net, or all; resnet34 if nothing else is asked for.
        full: a full net of your own choice, instead of a preset.
        subnets: its sub-nets, as `ddnn train` takes them.
        side: of the images in pixels; None means the preset's, or 96.
        batch: images in a batch; None means the preset's, or 16.
        repeats: turns that count.
        memory: measure memory too.
        output: a JSON file for the results.
        setting: see `Setting`.
    """
    where = Setting(**setting)
    problems = chosen_problems(preset, full, subnets, side, batch)
    report = Report("What does one EKD step cost?", output)
    for problem in problems:
        measure(problem, where, repeats, report)
        if memory and measurable(where):
            report.table(f"memory: {problem}, {where}", memory_rows(problem, where))


def chosen_problems(
    preset: str | None, full: str | None, subnets: SubnetsOption | None, side: int | None, batch: int | None
) -> list[Problem]:
    """The presets that are meant, or the free choice, with other images where those are given.

    Raises:
        DDNNError: for an unknown preset, or a choice that is none or two.
    """
    chosen = _presets(preset) if full is None and subnets is None else [_own_choice(preset, full, subnets)]
    return [replace(problem, side=side or problem.side, batch=batch or problem.batch) for problem in chosen]


def _presets(preset: str | None) -> list[Problem]:
    name = "resnet34" if preset is None else preset
    if name not in (*PRESETS, "all"):
        raise DDNNError(f"unknown preset {name!r}; {near(name, [*PRESETS, 'all'])}")
    return list(PRESETS.values()) if name == "all" else [PRESETS[name]]


def _own_choice(preset: str | None, full: str | None, subnets: SubnetsOption | None) -> Problem:
    if preset is not None:
        raise DDNNError("give --preset, or --full and --subnets, not both")
    if full is None or subnets is None:
        raise DDNNError("--full and --subnets belong together; give both, or a --preset")
    return Problem(full, read_subnets(subnets), side=96, batch=16)


def measure(problem: Problem, setting: Setting, repeats: int, report: Report) -> None:
    """The tables of times of one network."""
    title = f"{problem}, {setting}"
    default: dict[str, Maker] = {
        f"{name}, torch's SGD": partial(alone, problem, name, fused=False) for name in problem.names
    }
    fused = fused_makers(problem)
    steps = {name: make(setting) for name, make in (joint_makers(problem) | default | fused).items()}
    seconds = interleaved(steps, repeats)
    report.table(f"steps: {title}", [{"step": name, **milliseconds(taken)} for name, taken in seconds.items()])
    report.table(f"an EKD step over others: {title}", ratios(seconds, list(default), list(fused)))
    parts = [shares(name, steps[name], repeats) for name in (OURS, list(fused)[-1])]
    report.table(f"shares of a step: {title}", parts)


def joint_makers(problem: Problem) -> dict[str, Maker]:
    """EKD, and EKD that shares nothing."""
    return {OURS: partial(ekd, problem), UNSHARED: partial(unshared, problem)}


def fused_makers(problem: Problem) -> dict[str, Maker]:
    """The stock models with the optimizer of `ddnn train`."""
    return {f"{name}, fused SGD": partial(alone, problem, name) for name in problem.names}


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
        {"EKD over": what, **ratio(seconds[OURS], *(seconds[name] for name in names))}
        for what, names in against.items()
    ]


def shares(name: str, step: Iteration, repeats: int) -> dict[str, Any]:
    """How a step's time divides up: the mean shares over so many steps."""
    timed = [phases(step) for _ in range(repeats)]
    forward, backward, update = (fmean(phase) for phase in zip(*timed, strict=True))
    whole = forward + backward + update
    return {"step": name, "forward": forward / whole, "backward": backward / whole, "optimizer": update / whole}


def phases(step: Iteration) -> tuple[float, float, float]:
    """Seconds of forward with the objective, backward, and update, in one step of a single pass."""
    (forward,) = step.passes
    marks = [now()]
    loss = forward(*step.data)
    marks.append(now())
    loss.backward()
    marks.append(now())
    step.optimizer.step()
    marks.append(now())
    step.optimizer.zero_grad()
    first, second, third, fourth = marks
    return second - first, third - second, fourth - third


def memory_rows(problem: Problem, setting: Setting) -> list[dict[str, Any]]:
    """Peaks and their ratios; one by one, training needs what the largest of the stock steps does."""
    stock = fused_makers(problem)
    taken = peaks(joint_makers(problem) | stock, setting)
    taken["stock models one by one"] = max(taken[name] for name in stock)
    return rows(taken, list(stock)[-1])


if __name__ == "__main__":
    run(main)
