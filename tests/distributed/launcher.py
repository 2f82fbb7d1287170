"""Starts a module of these tests in several processes, as torchrun starts a user's."""

import os
import socket
from concurrent.futures import ThreadPoolExecutor

from tests.processes import Launched


def in_processes(count: int, module: str, *arguments: object) -> str:
    """Run `python -m MODULE ARGUMENTS` in so many processes that have torchrun's environment; gives what they printed.

    That torchrun's own processes do the same is what `test_commands.py` shows: `ddnn train --devices` starts it.
    """
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    common |= {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1"}
    common |= {"TORCHELASTIC_RUN_ID": "tests", "TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_MAX_RESTARTS": "0"}
    processes = [
        Launched("-m", module, *arguments, env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(count)
    ]
    with ThreadPoolExecutor(count) as readers:
        said = list(readers.map(lambda process: process.communicate(timeout=300), processes))
    for process, (_, err) in zip(processes, said, strict=True):
        assert process.returncode == 0, err
    return "".join(out for out, _ in said)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
