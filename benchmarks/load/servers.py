"""Servers as they are run for real: processes of their own, on cores of their own, asked over loopback."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from ddnn.errors import DDNNError

SECONDS_TO_START = 300.0
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Server:
    """One that runs.

    Args:
        process: its.
        port: on loopback.
        path: to post images to.
    """

    process: subprocess.Popen[bytes]
    port: int
    path: str = "/predict"

    def rest(self, resting: bool) -> None:
        """Stop the processes, or let them go on: some servers use their core though nobody asks."""
        for process in _family(self.process.pid):
            os.kill(process, signal.SIGSTOP if resting else signal.SIGCONT)

    def memory(self) -> float:
        """MiB that are resident, of the process and those that it has started."""
        return sum(map(_resident, _family(self.process.pid))) / 1024


def ours(export: str, port: int, *options: str) -> tuple[Sequence[str], str]:
    """The command of our server, and where it says that it is ready."""
    command = [sys.executable, "-m", "ddnn_runtime.serving", export, "--port", str(port), "--threads", "1"]
    return [*command, *options], "/readyz"


def plain(export: str, port: int) -> tuple[Sequence[str], str]:
    """The command of `plain.py`."""
    return [sys.executable, str(HERE / "plain.py"), export, str(port)], "/health"


def lit(export: str, port: int) -> tuple[Sequence[str], str]:
    """The command of `lit.py`."""
    return [sys.executable, str(HERE / "lit.py"), export, str(port)], "/health"


@contextmanager
def running(command: Sequence[str], port: int, ready: str, cores: set[int], log: Path) -> Iterator[Server]:
    """Start a server on some cores, wait until it is ready, and end it.

    Raises:
        DDNNError: it ends, or is not ready after minutes.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ | {"OMP_NUM_THREADS": "1"})
        pin(process.pid, cores)
        try:
            _wait(process, f"http://127.0.0.1:{port}{ready}", log)
            server = Server(process, port)
            server.rest(resting=True)
            yield server
        finally:
            _end(process)


def free_port() -> int:
    """One that nobody uses."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def parted(servers: int) -> tuple[set[int], set[int]]:
    """Cores for the server, and others for its clients; the same where there is one only."""
    cores = sorted(os.sched_getaffinity(0))
    return set(cores[-servers:]), set(cores[:-servers] or cores)


def pin(process: int, cores: set[int]) -> None:
    """Keep a process, and what it will start, on some cores."""
    os.sched_setaffinity(process, cores)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a server and all that it has started, as its own signal does, or at once."""
    family = _family(process.pid)
    for each in family:
        os.kill(each, signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    for each in family:
        with suppress(ProcessLookupError):
            os.kill(each, signal.SIGKILL)
    process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace").strip()[-500:]
    raise DDNNError(f"{' '.join(map(str, process.args))} is not ready: {said}")  # pyright: ignore


def _family(process: int) -> list[int]:
    """A process and all that come from it."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:  # it has ended
            continue
    found = [process]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _resident(process: int) -> int:
    """KiB; 0 of a process that has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)
