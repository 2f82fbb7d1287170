"""Signals to worker processes: a SIGTERM that is meant for the run must not take its workers away.

Clusters and launchers send it to a whole group of processes. The run then finishes its step and saves it, for which it
still wants images, and ends its workers itself. That is a SIGTERM too, if Python is at its end, so there is a flag.
"""

import atexit
import os
import signal
from collections.abc import Callable
from ctypes import c_bool
from functools import cache, partial
from multiprocessing import RawValue
from typing import Any


def ended_by_parent_alone() -> Callable[[int], None]:
    """What a worker is to call when it begins, so that it passes over SIGTERM until this process ends."""
    return partial(_pass_over_sigterm, _ending())


@cache
def _ending() -> Any:
    """Whether this process is ending, in memory that its workers share."""
    ending = RawValue(c_bool, False)
    atexit.register(setattr, ending, "value", True)  # before multiprocessing's own, which ends workers and waits
    return ending


def _pass_over_sigterm(ending: Any, _worker: int) -> None:
    def handle(*_: Any) -> None:
        if ending.value:
            os._exit(0)

    signal.signal(signal.SIGTERM, handle)
