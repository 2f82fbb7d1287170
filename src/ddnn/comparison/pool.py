"""Run the tasks of a comparison side by side, in processes that share the devices at hand.

Small trainings leave most of a device idle, so several share one GPU, or have a core each. A task that needs another
waits for it; one that fails takes only those with it that need it.
"""

import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

import torch

from ddnn.comparison import worker
from ddnn.comparison.experiment import Experiment
from ddnn.comparison.methods import Task, needed_by
from ddnn.config import CompareConfig
from ddnn.devices import pick_device
from ddnn.errors import DDNNError
from ddnn.families import Depth

RUNS_A_GPU = 3
"""How many runs share a GPU, where nobody says."""

_POLL_SECONDS = 1.0


def slots(config: CompareConfig, tasks: int) -> list[worker.Slot]:
    """Where the processes of a comparison run: GPUs in turn, or an equal part of the cores each."""
    cores = torch.get_num_threads()
    gpus = torch.cuda.device_count() if pick_device(config.train.device).type == "cuda" else 0
    jobs = min(tasks, config.jobs or (gpus * RUNS_A_GPU if gpus else cores))
    return [worker.Slot(max(1, cores // jobs), number % gpus if gpus else None) for number in range(jobs)]


def run_all(
    tasks: Sequence[Task],
    depths: Mapping[str, Depth],
    config: CompareConfig,
    experiment: Experiment,
    watch: Callable[[Sequence[Task], Sequence[Task]], None],
) -> dict[Task, str]:
    """Run tasks, each after the one that it needs.

    Args:
        tasks: those that are not complete.
        depths: of all nets, the full net last.
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
    places, free = slots(config, len(tasks)), context.Queue()
    for place in places:
        free.put(place)
    pool = ProcessPoolExecutor(len(places), context, worker.start, (config, experiment, free))
    try:
        return _run(pool, tasks, depths, watch)
    except BrokenProcessPool:
        raise DDNNError(
            "a process of the comparison died (out of memory?); the same command goes on, with fewer --jobs if need be"
        ) from None
    except BaseException:
        for child in multiprocessing.active_children():  # all that is written is written aside and moved into place
            child.kill()
        raise
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _run(
    pool: ProcessPoolExecutor,
    tasks: Sequence[Task],
    depths: Mapping[str, Depth],
    watch: Callable[[Sequence[Task], Sequence[Task]], None],
) -> dict[Task, str]:
    waiting, complete, failed = list(tasks), [], {}
    running: dict[Future[None], Task] = {}
    while waiting or running:
        open_tasks = {*waiting, *running.values()}
        for task in [task for task in waiting if needed_by(task, tuple(depths)) not in open_tasks]:
            waiting.remove(task)
            needed = needed_by(task, tuple(depths))
            if needed in failed:
                failed[task] = f"{needed} failed"
            else:
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
