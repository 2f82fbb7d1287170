"""How many images a second one core trains on, for nets on small images: what options of `ddnn train` make of it.

python benchmarks/small_nets.py [--side 32 --batch 128 --compile true --repeats 3]

For {ResNet-8, 14, 20} and {ResNet-20, 32, 56}, all nets in one network by EKD and each net alone. Every row runs in a
process of its own, for memory that glibc keeps cannot be given back, in turns, and the best turn counts: these nets are
small, and what else the machine does only ever slows them down.
"""

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass

import torch

from command import run
from ddnn.training.allocation import freed_memory_kept
from reporting import Report
from settings import Setting
from steps import Iteration, Problem, alone, ekd

NETS = (("resnet8", "resnet14", "resnet20"), ("resnet20", "resnet32", "resnet56"))
_STEPS, _TURNS = 3, 3


@dataclass(frozen=True)
class Row:
    """One setting.

    Args:
        setting: of torch.
        kept: whether freed memory is kept, as `ddnn train` does on a CPU.
    """

    setting: Setting
    kept: bool

    def __str__(self) -> str:
        return f"{self.setting}{', memory kept' if self.kept else ''}"


def main(side: int = 32, batch: int = 128, compile: bool = False, repeats: int = 3, output: str | None = None) -> None:
    """Print images a second.

    Args:
        side: of the images in pixels.
        batch: images in a batch.
        compile: compiled steps, too, which take a minute or two each to compile.
        repeats: processes for each row; the best counts.
        output: a JSON file for the results.
    """
    report = Report("How many images a second does one core train on?", output)
    for nets in NETS:
        problem = Problem(nets[-1], list(nets[:-1]), side, batch, classes=10)
        rows = list(_rows(compile))
        best: dict[Row, dict[str, float]] = {row: {} for row in rows}
        for _ in range(repeats):
            for row in rows:
                for name, rate in _in_own_process(problem, row).items():
                    best[row][name] = max(rate, best[row].get(name, 0.0))
        report.table(f"images a second: {problem}, one thread", [_shown(row, best[row], nets) for row in rows])


def _rows(compile: bool) -> Iterator[Row]:
    for compiled in (False, True) if compile else (False,):
        for channels_last in (False, True):
            for kept in (False, True):
                yield Row(Setting(compile=compiled, channels_last=channels_last), kept)


def _shown(row: Row, rates: dict[str, float], nets: tuple[str, ...]) -> dict[str, object]:
    one_by_one = 1 / sum(1 / rates[name] for name in nets)
    return {
        "setting": str(row),
        **{name: round(rates[name]) for name in nets},
        "one by one": round(one_by_one),
        "all by EKD": round(rates["all"]),
        "time of EKD over one by one": round(one_by_one / rates["all"], 2),
    }


def _in_own_process(problem: Problem, row: Row) -> dict[str, float]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_rates, problem, row).result()


def _rates(problem: Problem, row: Row) -> dict[str, float]:
    torch.set_num_threads(1)
    with freed_memory_kept() if row.kept else nullcontext():
        rates = {"all": _rate(ekd(problem, row.setting), problem.batch)}
        return rates | {name: _rate(alone(problem, name, row.setting), problem.batch) for name in problem.names}


def _rate(step: Iteration, batch: int) -> float:
    """Images a second in the best of some turns, after one that does not count."""
    step()
    best = 0.0
    for _ in range(_TURNS):
        began = time.perf_counter()
        for _ in range(_STEPS):
            step()
        best = max(best, _STEPS * batch / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    run(main)
