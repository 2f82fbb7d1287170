"""`ddnn train --devices`: one message for all processes, whatever goes wrong in any of them, and nothing that waits."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from ddnn.distributed.processes import find_processes
from ddnn.training.module import PROCESSES
from tests.processes import Launched


def ddnn(*arguments: object, forking: bool = True) -> Launched:
    """The launcher; the processes that it starts are forked from it, or, as torchrun's own are, from nothing."""
    return Launched("-m", "ddnn", *arguments, forking=forking)


def children(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def rank_of(process: int) -> int | None:
    for entry in Path(f"/proc/{process}/environ").read_bytes().split(b"\0"):
        if entry.startswith(b"RANK="):
            return int(entry.removeprefix(b"RANK="))
    return None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data", "folder:/nowhere"], "There is no folder /nowhere"),
        (["--batch_size", "33"], "a batch_size of 33 images cannot be divided among 2 processes: give a multiple of 2"),
    ],
)
def test_a_bad_configuration_stops_all_before_the_first_step(options: list[str], message: str, tmp_path: Path) -> None:
    process = ddnn("train", "--devices", 2, "--device", "cpu", *options, "--output", tmp_path / "run")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (1, "")
    assert err.strip().startswith(f"ddnn: error: {message}")
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc, which is Linux's")
def test_a_process_that_is_killed_ends_the_run_which_can_go_on(tmp_path: Path) -> None:
    options = ["--device", "cpu", "--train_images", "300", "--subnets", "resnet8", "--full", "resnet14"]
    run = tmp_path / "run"
    process = ddnn("train", "--devices", 2, "--epochs", 400, *options, "--output", run, forking=False)
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    os.kill(next(child for child in children(process.pid) if rank_of(child) == 1), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "ddnn: error: process 1 of 2 was ended by SIGKILL" in err
    assert "Traceback" not in err
    (run / "config.yaml").write_text((run / "config.yaml").read_text().replace("epochs: 400", "epochs: 1"))
    assert ddnn("train", "--resume", run).wait(timeout=120) == 0  # in two processes again


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes in /proc, which is Linux's")
def test_a_signal_to_the_launcher_and_its_processes_counts_once(tmp_path: Path) -> None:
    options = ["--epochs", 400, "--device", "cpu", "--train_images", 300, "--subnets", "resnet8", "--full", "resnet14"]
    run = tmp_path / "run"
    process = ddnn("train", "--devices", 2, *options, "--output", run)
    while not (run / "checkpoints" / "last.ckpt").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
    for each in [*children(process.pid), process.pid]:
        os.kill(each, signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "ended by SIGTERM after a whole" in err
    assert f"go on with: ddnn train --resume {run}" in err


@pytest.mark.slow
def test_two_launchers_train_together_as_two_machines_do(tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    options = ["--epochs", "1", "--train_images", "128", "--device", "cpu", "--output", str(tmp_path / "run"), "--json"]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    torchrun += ["--master-addr", "127.0.0.1", "--master-port", str(port)]
    launchers = [
        subprocess.Popen(
            [*torchrun, "--node-rank", node, "-m", "ddnn", "train", *options],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for node in ("0", "1")
    ]  # fmt: skip
    (first, said), (second, _) = (launcher.communicate(timeout=240) for launcher in launchers)
    assert [launcher.returncode for launcher in launchers] == [0, 0], said
    assert (set(json.loads(first)["nets"]), second) == ({"resnet8", "resnet14", "resnet20"}, "")
    saved = torch.load(tmp_path / "run" / "checkpoints" / "last.ckpt", weights_only=True)
    assert saved[PROCESSES] == 2
    assert ddnn("evaluate", tmp_path / "run").wait(timeout=120) == 0


def test_tasks_of_slurm_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"STEP_NUM_TASKS": 16, "NTASKS": 16, "NTASKS_PER_NODE": 8, "PROCID": 11, "LOCALID": 3}.items():
        monkeypatch.setenv(f"SLURM_{name}", str(value))
    processes = find_processes()
    assert (processes.rank, processes.count, processes.local_rank, processes.nodes) == (11, 16, 3, 2)


def test_a_batch_script_of_slurm_without_srun_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "16")
    assert find_processes().count == 1
