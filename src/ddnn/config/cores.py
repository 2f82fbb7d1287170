"""How many cores there are: what numbers of threads, workers and processes go by where nobody says, and are held to."""

import os

from ddnn.errors import DDNNError
from ddnn_runtime.cores import cores


def cores_each(processes: int) -> int:
    """Cores for each of so many processes on this machine: an equal part, and no more than this one may use, since who
    starts them may have parted the cores among them already."""
    return max(1, min(cores(), (os.cpu_count() or 1) // processes))


def check_threads(threads: int) -> None:
    """Raise a DDNNError if there are fewer cores than threads."""
    if threads > cores():
        raise DDNNError(f"threads must be at most the {cores()} cores of this machine, not {threads}")
