"""Run the tasks of a comparison side by side, in processes that share the devices at hand.

Small trainings leave most of a device idle, so several share one GPU, or have a core each. A task that needs another
waits for it; one that fails takes only those with it that need it.
"""

import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from ddnn.comparison import worker
from ddnn.comparison.experiment import Experiment
from ddnn.comparison.methods import Task
from ddnn.config import CompareConfig
from ddnn.errors import DDNNError
from ddnn.families import Depth
from ddnn.measuring.devices import pick_device

SMALL_RUNS_A_GPU = 3
"""How many runs on small images share a GPU, where nobody says."""

_POLL_SECONDS = 1.0


def slots(config: CompareConfig, tasks: int, *, small: bool) -> list[worker.Slot]:
    """Where the processes of a comparison run: GPUs in turn, or an equal part of the cores each.

    Args:
        config: of the comparison.
        tasks: all of them, complete or not, so that a comparison that goes on has the same threads.
        small: whether the images are, so that a run leaves room on a GPU.
    """
    cores, gpus = torch.get_num_threads(), _gpus(config)
    usual = len(gpus) * (SMALL_RUNS_A_GPU if small else 1) if gpus else cores
    jobs = min(tasks, config.jobs or usual)
    return [worker.Slot(max(1, cores // jobs), gpus[number % len(gpus)] if gpus else None) for number in range(jobs)]


def _gpus(config: CompareConfig) -> list[str]:
    """The GPUs at hand, by what CUDA_VISIBLE_DEVICES calls them."""
    if pick_device(config.train.device).type != "cuda":
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    return names[: torch.cuda.device_count()]


def run_all(
    tasks: Sequence[Task],
    depths: Mapping[str, Depth],
    places: Sequence[worker.Slot],
    config: CompareConfig,
    experiment: Experiment,
    watch: Callable[[Sequence[Task], Sequence[Task]], None],
) -> dict[Task, str]:
    """Run tasks, each after the one that it needs.

    Args:
        tasks: those that are not complete.
        depths: of all nets, the full net last.
        places: where they run.
        config: of the comparison.
        experiment: its results folder.
        watch: is told now and then which tasks run, and which are complete.

    Returns:
        What went wrong, for each task that failed or could not begin.

    Raises:
        DDNNError: if a process died.
        KeyboardInterrupt: for Ctrl-C; runs that were under way go on from their last whole epoch the next time.
    """
    context = multiprocessing.get_context("spawn")
    free, others = context.Queue(), set(multiprocessing.active_children())
    for place in places:
        free.put(place)
    pool = ProcessPoolExecutor(len(places), context, worker.start, (config, experiment, free))
    try:
        return _run(pool, len(places), tasks, depths, watch)
    except BrokenProcessPool:
        raise DDNNError(
            "a process of the comparison died (out of memory? or a script without `if __name__ == '__main__':`?); the "
            "same command goes on, with fewer --jobs if need be"
        ) from None
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.kill()  # all that it writes it writes aside and moves into place
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _run(
    pool: Executor,
    places: int,
    tasks: Sequence[Task],
    depths: Mapping[str, Depth],
    watch: Callable[[Sequence[Task], Sequence[Task]], None],
) -> dict[Task, str]:
    waiting, complete, failed = list(tasks), [], {}
    running: dict[Future[None], Task] = {}
    while waiting or running:
        for task in [task for task in waiting if task.after in failed]:
            waiting.remove(task)
            failed[task] = f"{task.after} failed"
        ready = [task for task in waiting if task.after not in {*waiting, *running.values()}]
        for task in ready[: places - len(running)]:  # in their order, so that whole seeds come first
            waiting.remove(task)
            running[pool.submit(worker.run, task, depths)] = task
        for future in wait(running, _POLL_SECONDS, FIRST_COMPLETED).done:
            task = running.pop(future)
            try:
                future.result()
                complete.append(task)
            except DDNNError as error:
                failed[task] = str(error)
        watch(tuple(running.values()), complete)
    return failed
