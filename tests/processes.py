"""Real processes without the seconds that each would spend on importing: a server that has imported everything forks
them.

They have pipes, signals, an environment and an exit status of their own, as if `python WORDS…` had been started. That
a cold process does the same is what those tests show that start one with `subprocess`.
"""

import atexit
import logging
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any, TextIO

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
        forking: whether the Python processes that it starts are forked, too, from itself.
    """

    def __init__(self, *words: object, env: Mapping[str, str] | None = None, forking: bool = False) -> None:
        self.stdout, out = _pipe()
        self.stderr, err = _pipe()
        place = dict(os.environ if env is None else env), Path.cwd(), forking
        self._process = warm().Process(target=_launched, args=([str(word) for word in words], *place, out, err))
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


def _launched(
    words: list[str], env: Mapping[str, str], folder: Path, forking: bool, out: Connection, err: Connection
) -> None:
    for end, number in ((out, 1), (err, 2)):
        os.dup2(end.fileno(), number)
        end.close()
    os.chdir(folder)
    if forking:
        _fork_python()
    _become(words, env)


def _fork_python() -> None:
    """From now on, this process forks what it would start as `python WORDS…`, or by the method "spawn"."""
    context, start = multiprocessing.get_context, subprocess.Popen.__init__

    def forking(self: "subprocess.Popen[Any]", args: Any, *rest: Any, **options: Any) -> None:
        if args[0] == sys.executable:
            options["preexec_fn"] = partial(_fork, list(args[1:]), dict(options.get("env") or os.environ))
        start(self, args, *rest, **options)

    subprocess.Popen.__init__ = forking
    multiprocessing.get_context = lambda method=None: context("fork" if method == "spawn" else method)


def _fork(words: list[str], env: Mapping[str, str]) -> None:
    """What a fork does in place of becoming another program, after which nothing of this one would be left."""
    os.closerange(3, 4096)
    resource_tracker._resource_tracker.__init__()
    logging.disable(logging.NOTSET)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    status: Any = 1
    try:
        _become(words, env)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        threading._shutdown()  # pyright: ignore
        sys.stdout.flush()
        os._exit(status)


def _become(words: list[str], env: Mapping[str, str]) -> None:
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [place for place in env.get("PYTHONPATH", "").split(os.pathsep) if place not in sys.path]
    if "OMP_NUM_THREADS" in env:
        torch.set_num_threads(int(env["OMP_NUM_THREADS"]))
    _run(words)


def _run(words: list[str]) -> None:
    first, *rest = words
    while first.startswith("-") and first not in ("-m", "-c"):  # such as -u, which a fork cannot change any more
        first, *rest = rest
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv = words
        sys.path.insert(0, str(Path(first).parent))
        runpy.run_path(first, run_name="__main__")
