"""Which run goes where and when."""

import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from ddnn.comparison import pool, worker
from ddnn.comparison.methods import Task, plan
from ddnn.config import CompareConfig, Method
from ddnn.errors import DDNNError

DEPTHS = {"resnet8": (1, 1, 1), "resnet14": (2, 2, 2), "resnet20": (3, 3, 3)}
EPOCHS = {Method("pruned"): 10, Method("ekd"): 10}
TASKS = plan(CompareConfig(methods="pruned,ekd", seeds="0,1"), tuple(DEPTHS), EPOCHS)


def test_a_pruned_net_waits_for_the_full_net(monkeypatch: pytest.MonkeyPatch) -> None:
    complete: list[Task] = []
    lock = threading.Lock()

    def run(task: Task, depths: Mapping[str, tuple[int, ...]]) -> None:
        with lock:
            assert task.after is None or task.after in complete
            complete.append(task)

    monkeypatch.setattr(worker, "run", run)
    seen: list[int] = []
    with ThreadPoolExecutor(4) as threads:
        failed = pool._run(threads, 4, TASKS, DEPTHS, lambda running, done: seen.append(len(done)))  # type: ignore[arg-type]
    assert failed == {}
    assert set(complete) == set(TASKS)
    assert seen == sorted(seen)
    assert seen[-1] == len(TASKS)


def test_a_run_that_fails_takes_only_those_that_need_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(task: Task, depths: Mapping[str, tuple[int, ...]]) -> None:
        if task == Task("alone", 1, "resnet20"):
            raise DDNNError("the loss is not finite")

    monkeypatch.setattr(worker, "run", run)
    with ThreadPoolExecutor(2) as threads:
        failed = pool._run(threads, 2, TASKS, DEPTHS, lambda running, done: None)  # type: ignore[arg-type]
    assert failed == {
        Task("alone", 1, "resnet20"): "the loss is not finite",
        Task("pruned", 1, "resnet8"): "alone resnet20, seed 1 failed",
        Task("pruned", 1, "resnet14"): "alone resnet20, seed 1 failed",
    }


def test_runs_begin_in_their_order_so_that_whole_seeds_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Task] = []
    monkeypatch.setattr(worker, "run", lambda task, depths: begun.append(task))
    with ThreadPoolExecutor(1) as threads:
        pool._run(threads, 1, TASKS, DEPTHS, lambda running, done: None)
    assert begun == TASKS


def test_runs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert pool.slots(CompareConfig(), 100, small=True) == [worker.Slot(1)] * 8
    assert pool.slots(CompareConfig(), 3, small=True) == [worker.Slot(2)] * 3
    assert pool.slots(CompareConfig(jobs=1), 3, small=True) == [worker.Slot(8)]


@pytest.mark.parametrize(("visible", "names"), [(None, ["0", "1"]), ("2,GPU-5a", ["2", "GPU-5a"])])
def test_runs_share_the_gpus_in_turn(visible: str | None, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    def taken(config: CompareConfig, tasks: int, small: bool) -> list[str | None]:
        return [slot.gpu for slot in pool.slots(config, tasks, small=small)]

    assert taken(CompareConfig(), 100, True) == names * pool.SMALL_RUNS_A_GPU
    assert taken(CompareConfig(), 100, False) == names
    assert taken(CompareConfig(jobs=3), 100, False) == [*names, names[0]]
    assert taken(CompareConfig(), 1, True) == names[:1]
