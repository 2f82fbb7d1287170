"""Real processes without the seconds that each would spend on importing: a server that has imported everything forks
them.

They have pipes, signals, an environment and an exit status of their own, as if `python WORDS…` had been started. That
a cold process does the same is what those tests show that start one with `subprocess`.
"""

import atexit
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import TextIO

import torch

PRELOADED = [
    "ddnn.cli",
    "ddnn.comparison.worker",
    "ddnn.measuring.evaluation",
    "ddnn.training.launching",
    "ddnn_runtime.command_line",
    "ddnn_runtime.serving.serve",
    "sklearn.datasets",
    "tests.processes",
]


def warm() -> ForkServerContext:
    """Where processes start with everything imported; what else they do is up to them."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class Launched:
    """What `subprocess.Popen` with two pipes gives for `python WORDS…`, of a process that was forked.

    Args:
        words: `-m MODULE`, `-c CODE` or a script, and arguments.
        env: the whole environment; None means this one's.
    """

    def __init__(self, *words: object, env: Mapping[str, str] | None = None) -> None:
        self.stdout, out = _pipe()
        self.stderr, err = _pipe()
        place = dict(os.environ if env is None else env), Path.cwd()
        self._process = warm().Process(target=_become, args=([str(word) for word in words], *place, out, err))
        self._process.start()
        out.close()
        err.close()
        atexit.register(self._process.kill)  # which does nothing to one that has ended
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status, or minus the signal that ended it; None as long as it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("python", timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it says from now on, once it has ended."""
        with ThreadPoolExecutor(2) as readers:  # side by side, since neither pipe may fill up
            said = [readers.submit(pipe.read) for pipe in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self._process.kill()
                raise
            out, err = (each.result() for each in said)
        return out, err

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def completed(*words: object, timeout: float | None = None) -> "subprocess.CompletedProcess[str]":
    """As `subprocess.run`, of a process that was forked."""
    process = Launched(*words)
    out, err = process.communicate(timeout)
    return subprocess.CompletedProcess([str(word) for word in words], process.wait(), out, err)


def _pipe() -> tuple[TextIO, Connection]:
    reader, writer = multiprocessing.Pipe(duplex=False)
    with reader:
        return os.fdopen(os.dup(reader.fileno())), writer


def _become(words: list[str], env: Mapping[str, str], folder: Path, out: Connection, err: Connection) -> None:
    for end, number in ((out, 1), (err, 2)):
        os.dup2(end.fileno(), number)
        end.close()
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder)
    if "OMP_NUM_THREADS" in env:
        torch.set_num_threads(int(env["OMP_NUM_THREADS"]))
    _run(words)


def _run(words: list[str]) -> None:
    first, *rest = words
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        runpy.run_path(first, run_name="__main__")
