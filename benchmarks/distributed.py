"""What training in several processes costs: throughput and scaling efficiency of an EKD step.

python benchmarks/distributed.py [--counts 1,2 --rounds 3 --steps 20]

Every process has one thread and as many images as the others (weak scaling). Efficiency is the images a second of N
processes over N times those of one. The ways take their steps in turn, so that what else the machine does meets all of
them; the rounds alternate between the numbers of processes, and medians count. On a machine with fewer cores than
processes nothing is said.
"""

import os
import socket
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing import Manager
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from command import run
from ddnn.config.fields import whole_numbers
from ddnn.distributed.fsdp import divide
from ddnn.distributed.processes import find_processes, join
from ddnn.distributed.synchronised_norms import synchronised
from ddnn.objectives import EKD
from ddnn.training.step import TrainingStep
from reporting import Report
from settings import Setting
from steps import Problem, optimizer
from timing import interleaved

WAYS = ("ddp", "ddp, synchronised norm", "fsdp")
PROBLEMS = (Problem("resnet20", ("resnet8", "resnet14"), 32, 64), Problem("resnet34", ("resnet18",), 96, 16))
Timing = dict[tuple[str, str], float]


class _Step(nn.Module):
    """A loss with a network in it, as DDP wants it."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.network = problem.network().train()
        self._step = TrainingStep(self.network, EKD())

    def forward(self, images: Tensor, labels: Tensor) -> Tensor:
        return self._step(images, labels, torch.zeros(()), self.network.names).total


def main(counts: str = "1,2", rounds: int = 3, steps: int = 20, output: str | None = None) -> None:
    """Print the table of each problem.

    Args:
        counts: numbers of processes, the first of which the others are compared with.
        rounds: measurements of each.
        steps: of each way in a measurement, after a few that do not count.
        output: a JSON file for the results.
    """
    numbers = whole_numbers("counts", counts, "1,2,4")
    found: dict[int, list[Timing]] = {count: [] for count in numbers}
    for _ in range(rounds):
        for count in numbers:
            found[count].append(_measured(count, steps))
    report = Report("What does training in several processes cost?", output)
    for problem in PROBLEMS:
        report.table(f"an EKD step, each process with one thread: {problem} a process", _rows(str(problem), found))


def _rows(problem: str, found: dict[int, list[Timing]]) -> list[dict[str, Any]]:
    first, batch = next(iter(found)), next(p.batch for p in PROBLEMS if str(p) == problem)
    rows = []
    for way in WAYS:
        alone = median(timing[problem, "ddp"] for timing in found[first])
        for count, timings in found.items():
            seconds = median(timing[problem, way] for timing in timings)
            rows.append(
                {
                    "way": way,
                    "processes": count,
                    "images_per_s": count * batch / seconds,
                    "efficiency": alone / seconds,
                    "over_ddp": median(timing[problem, "ddp"] / timing[problem, way] for timing in timings),
                    "spread": (max(t[problem, way] for t in timings) - min(t[problem, way] for t in timings)) / seconds,
                }
            )
    return rows


def _measured(count: int, steps: int) -> Timing:
    with Manager() as manager:
        results = manager.dict()
        spawn(_process, (count, _free_port(), steps, results), nprocs=count)
        return dict(results)


def _process(rank: int, count: int, port: int, steps: int, results: Any) -> None:
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()})
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "TORCHELASTIC_RUN_ID": "benchmark", "OMP_NUM_THREADS": "1"}
    torch.set_num_threads(1)
    join(find_processes())
    for problem in PROBLEMS:
        works = {way: _step(problem, way, count) for way in WAYS}
        for way, seconds in interleaved(works, steps).items():
            if rank == 0:
                results[str(problem), way] = median(seconds)


def _step(problem: Problem, way: str, count: int) -> Callable[[], None]:
    module = _Step(problem)
    call: Callable[..., Any] = module
    if count > 1 and way == "fsdp":
        divide(module.network, init_device_mesh("cpu", (count,)))
    elif count > 1:
        call = DistributedDataParallel(module, broadcast_buffers=False, gradient_as_bucket_view=True)
    images, labels = problem.data(Setting())
    updates = optimizer(module)

    def step() -> None:
        with synchronised(module) if count > 1 and way == WAYS[1] else nullcontext():
            call(images, labels).backward()
        updates.step()
        updates.zero_grad()

    return step


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


if __name__ == "__main__":
    run(main)
