"""One process of a comparison: it takes one run after the other, on the device that it was given."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from multiprocessing.queues import Queue

import torch

from ddnn.comparison.experiment import Experiment, RunScores
from ddnn.comparison.methods import Task, config_of, cut_out, pruned
from ddnn.config import CompareConfig, Method, TrainConfig
from ddnn.data import Data, Loader, open_data
from ddnn.errors import DDNNError, ModelFileError
from ddnn.families import Depth
from ddnn.measuring.devices import describe_device, pick_device
from ddnn.measuring.evaluation import evaluate
from ddnn.measuring.peak_memory import peak_memory_mb, reset_peak_memory
from ddnn.network import DepthDynamicNetwork
from ddnn.network.loading import load
from ddnn.runs.run_directory import RunDirectory
from ddnn.training import train
from ddnn.training.setup import make_network


@dataclass(frozen=True)
class Slot:
    """Where a worker runs.

    Args:
        threads: of the CPU.
        gpu: what CUDA_VISIBLE_DEVICES calls it; None runs on whatever the configuration says.
    """

    threads: int
    gpu: str | None = None


class Worker:
    """Runs tasks of one comparison.

    Args:
        config: of the comparison.
        experiment: its results folder.
    """

    def __init__(self, config: CompareConfig, experiment: Experiment) -> None:
        self._config, self._experiment = config, experiment

    @cached_property
    def _data(self) -> Data:
        """Decoded once, for all runs of this process."""
        return open_data(self._config.train, seed=0, quiet=True)

    def run(self, task: Task, depths: Mapping[str, Depth]) -> None:
        """Train and score what a task asks for, and write that down; a run that was begun goes on.

        Args:
            task: which run.
            depths: of all nets of the comparison, the full net last.
        """
        network, directory = self._trained(task, depths)
        device = pick_device(self._config.train.device)
        peak = peak_memory_mb(device)
        scores = evaluate(network.to(device), self._images(self._data_for(task), device))
        metrics = directory.read_metrics()
        seconds = sum(float(row["seconds"]) for row in metrics)
        run = RunScores(scores, seconds, peak, self._describe(device), config_of(task, self._config).epochs)
        self._experiment.complete(task, run)

    def _trained(self, task: Task, depths: Mapping[str, Depth]) -> tuple[DepthDynamicNetwork, RunDirectory]:
        """The network of a task; a run that was begun goes on."""
        config, data, directory = config_of(task, self._config), self._data_for(task), self._directory(task)
        reset_peak_memory(pick_device(config.device))
        network = self._network(task, config, data, depths)
        if self._experiment.resumable(task):
            config = TrainConfig(resume=str(directory.path))
        else:
            config = replace(config, output=str(directory.path))
        try:
            return train(config, network=network, data=data, progress=False, score=False).network, directory
        except ModelFileError as error:
            reason = str(error).partition(";")[0]
            raise ModelFileError(f"{reason}; delete {directory.path}, and the same command runs it anew") from None
        except torch.OutOfMemoryError:
            raise DDNNError("the GPU has too little memory; give fewer --jobs or a smaller --batch_size") from None

    def _network(
        self, task: Task, config: TrainConfig, data: Data, depths: Mapping[str, Depth]
    ) -> DepthDynamicNetwork | None:
        """What the run starts from; None leaves it to the configuration."""
        if task.net is None:
            return None
        if task.after is None:
            fresh = replace(Method.parse(task.method).applied(self._config.train), seed=task.seed)
            return cut_out(make_network(fresh, data), task.net)
        device = pick_device(config.device)
        full = self._complete(task.after, depths).to(device)
        return pruned(full, task.net, depths[task.net], data.for_norms(device))

    def _complete(self, task: Task, depths: Mapping[str, Depth]) -> DepthDynamicNetwork:
        """The network of a complete task, trained again where its scores alone came from another machine."""
        directory = self._directory(task)
        return load(directory.path) if directory.network.exists() else self._trained(task, depths)[0]

    def _directory(self, task: Task) -> RunDirectory:
        return self._experiment.run_directory(task)

    def _data_for(self, task: Task) -> Data:
        """The images, decoded once, prepared as the method wants."""
        return self._data.prepared(config_of(task, self._config), task.seed)

    def _describe(self, device: torch.device) -> str:
        threads = torch.get_num_threads()
        return f"{describe_device(device)}, {threads} thread{'s' if threads > 1 else ''} a run"

    def _images(self, data: Data, device: torch.device) -> Loader:
        images = data.test(device) if self._config.score == "test" else data.validation(device)
        assert images is not None, "that was checked before the first run"
        return images


_worker: Worker | None = None


def start(config: CompareConfig, experiment: Experiment, slots: "Queue[Slot]") -> None:
    """Make this process a worker, on the next free slot.

    Ctrl-C is the business of the process that started it, and when that is no more, this one ends at once: two
    processes must not be in one run directory.
    """
    global _worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    slot = slots.get()
    torch.set_num_threads(slot.threads)
    if slot.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = slot.gpu  # nothing has used CUDA yet
    _worker = Worker(config, experiment)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def run(task: Task, depths: Mapping[str, Depth]) -> None:
    """Run a task in this worker; see `Worker.run`."""
    assert _worker is not None
    _worker.run(task, depths)
