"""A network's steps compiled by torch.compile: in a process of its own, for it takes minutes and others can time
meanwhile. The step that is compiled is timed as it is, and as one CUDA graph."""

import os
from dataclasses import replace
from functools import partial

import torch
from filelock import FileLock

from gpu_stages.cases import ADN, Case, cases
from gpu_stages.record import Options, Record, Row
from gpu_stages.step import STAGE, figures, ratios
from gpu_stages.whole_step import captured
from reporting import machine
from settings import Setting
from steps import OURS, Iteration
from timing import Work, interleaved


def main(options: Options) -> None:
    """EKD's step first, then, if there is time, those that it is compared with."""
    if options.dry:
        torch.compiler.set_stance("force_eager")  # compiling takes a minute on a CPU too
    else:
        os.nice(10)  # others time steps whose Python counts
    case = next(case for case in cases(options.dry) if case.name == options.part)
    record, lock = Record(options, STAGE, machine()), FileLock(options.out / "timing.lock")
    setting = replace(options.setting, compile=True)
    steps: dict[str, Iteration] = {}

    def compile_some(names: list[str], mode: str) -> Row:
        for name in names:
            if name not in steps:
                steps[name] = case.makers()[name](setting)
                steps[name]()
        return _timed(case, steps, setting, lock, mode)

    first, others = [OURS], [name for name in case.makers() if name != ADN]
    for names, key in ((first, "compiled alone"), (others, "compiled")):
        record.measure(f"{case.name}/{key}", partial(compile_some, names, "compiled"))
        record.measure(f"{case.name}/{key}, graph", partial(compile_some, names, "compiled, graph"))


def _timed(case: Case, steps: dict[str, Iteration], setting: Setting, lock: FileLock, mode: str) -> Row:
    works: dict[str, Work] = {name: captured(step) if "graph" in mode else step for name, step in steps.items()}
    with lock:
        seconds = interleaved(works, 9 if setting.device == "cuda" else 3, calls=5 if setting.device == "cuda" else 1)
    return {
        "case": case.name,
        "mode": mode,
        "problem": str(case.problem),
        "setting": str(setting),
        "steps": {name: figures(taken, case.problem, None) for name, taken in seconds.items()},
        "ekd_over": ratios(seconds, case.problem),
        "dynamo": {name: dict(counts) for name, counts in torch._dynamo.utils.counters.items()},
    }


if __name__ == "__main__":
    main(Options.parse())
