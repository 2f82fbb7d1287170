"""The processes of one run, as PyTorch's launcher or SLURM has started them: who this one is, and what all agree on.

Each process trains on its share of every batch. An error that one of them finds ends all, before the first step: what
may fail is done `together`, and afterwards each one knows whether all others have got as far.
"""

import atexit
import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import Tensor, distributed

from ddnn.config.cores import cores_each
from ddnn.errors import DDNNError

SECONDS_TO_SPEAK = 5
"""A launcher ends all processes once one has ended: the one that has something to say is to be the first."""


@dataclass(frozen=True)
class Processes:
    """How many processes a run has, and which one this is.

    Args:
        rank: of this one, among all.
        count: of all.
        local_rank: of this one, on its node.
        local_count: on each node.
        environment: whatever started them, as Lightning knows it.
    """

    rank: int
    count: int
    local_rank: int
    local_count: int
    environment: ClusterEnvironment

    @property
    def nodes(self) -> int:
        """How many machines there are."""
        return self.count // self.local_count

    @property
    def share(self) -> tuple[int, int]:
        """(rank, number of processes), as loaders take it."""
        return self.rank, self.count

    @property
    def shard(self) -> tuple[int, int]:
        """What `share` was called."""
        return self.share

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and prints."""
        return self.rank == 0


def find_processes() -> Processes:
    """The processes that torchrun, `ddnn train --devices` or srun has started; one, if nothing has.

    Raises:
        DDNNError: SLURM started several, and did not say how many on each node.
    """
    if TorchElasticEnvironment.detect():
        return _in(TorchElasticEnvironment(), int(os.environ["LOCAL_WORLD_SIZE"]))
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:  # of srun; a batch script without it is one process
        if "SLURM_NTASKS_PER_NODE" not in os.environ:
            raise DDNNError("SLURM does not say how many tasks a node has; give sbatch or srun --ntasks-per-node")
        return _in(SLURMEnvironment(auto_requeue=False), int(os.environ["SLURM_NTASKS_PER_NODE"]))
    return Processes(0, 1, 0, 1, LightningEnvironment())


def _in(environment: ClusterEnvironment, local_count: int) -> Processes:
    return Processes(
        environment.global_rank(), environment.world_size(), environment.local_rank(), local_count, environment
    )


def join(processes: Processes) -> None:
    """Connect the processes, once; nothing to do where there is one. The connection lasts as long as the process.

    What lies on the CPU goes by gloo, and what lies on a GPU by NCCL.
    """
    if processes.count == 1 or distributed.is_initialized():
        return
    environment = processes.environment
    os.environ["MASTER_ADDR"], os.environ["MASTER_PORT"] = environment.main_address, str(environment.main_port)
    if "OMP_NUM_THREADS" not in os.environ:  # else each would use all cores
        torch.set_num_threads(cores_each(processes.local_count))
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    distributed.init_process_group(backend, rank=processes.rank, world_size=processes.count)
    atexit.register(_leave)


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


@contextmanager
def together() -> Iterator[None]:
    """Do what is inside in all processes; if it fails in any, it fails in all.

    Raises:
        Exception: the error, in the first process that failed.
        SystemExit: in the others; one says it for all.
    """
    failure: Exception | None = None
    try:
        yield
    except Exception as error:
        failure = error
    if not _several():
        if failure is not None:
            raise failure
        return
    told: list[str | None] = [None] * distributed.get_world_size()
    distributed.all_gather_object(told, None if failure is None else str(failure) or type(failure).__name__)
    failed = [rank for rank, message in enumerate(told) if message is not None]
    if not failed:
        return
    if failure is not None and distributed.get_rank() == failed[0]:
        raise failure
    leave_it_to_another()


def leave_it_to_another(status: int = 1) -> NoReturn:
    """End without a word, after a while in which the process that has something to say says it and ends.

    Its launcher then ends this one by SIGTERM, of which there is nothing to say either.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    time.sleep(SECONDS_TO_SPEAK)
    raise SystemExit(status)


def is_lost_connection(error: BaseException) -> bool:
    """Whether this is how torch tells that another process does not answer any more."""
    lost = isinstance(error, distributed.DistError)  # of NCCL and of the store
    told = isinstance(error, RuntimeError) and "gloo" in str(error)  # whose errors torch passes on without a type
    return _several() and (lost or told)


def is_first() -> bool:
    """Whether this is the process that writes and prints."""
    return not _several() or distributed.get_rank() == 0


def any_process(flag: bool) -> bool:
    """Whether the flag is set in any process; all must ask."""
    return bool(largest(int(flag)))


def largest(number: int) -> int:
    """The largest of what the processes have; all must ask."""
    if not _several():
        return number
    answer = torch.tensor([number])
    distributed.all_reduce(answer, distributed.ReduceOp.MAX)
    return int(answer)


def from_first(value: Any) -> Any:
    """What the first process has; all must ask."""
    if not _several():
        return value
    told = [value]
    distributed.broadcast_object_list(told)
    return told[0]


@torch.no_grad()
def average(tensors: Iterable[Tensor]) -> None:
    """Set tensors to their means over all processes, in place; those that are not of a floating-point type stay."""
    if not _several():
        return
    groups: dict[Any, list[Tensor]] = {}
    for tensor in tensors:
        if tensor.is_floating_point() and tensor.numel():
            groups.setdefault((tensor.device, tensor.dtype), []).append(tensor)
    for group in groups.values():
        flat = torch.cat([tensor.reshape(-1) for tensor in group])
        distributed.all_reduce(flat)
        flat /= distributed.get_world_size()
        for tensor, mean in zip(group, flat.split([tensor.numel() for tensor in group]), strict=True):
            tensor.copy_(mean.view_as(tensor))


def total(numbers: Mapping[str, float]) -> dict[str, float]:
    """The sums over all processes; all must give the same keys."""
    if not _several() or not numbers:
        return dict(numbers)
    sums = torch.tensor(list(numbers.values()), dtype=torch.float64)
    distributed.all_reduce(sums)
    return dict(zip(numbers, sums.tolist(), strict=True))


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
