"""Signals to worker processes: a SIGTERM that is meant for the run must not take its workers away.

Clusters and launchers send it to a whole group of processes. The run then finishes its step and saves it, for which it
still wants images, and ends its workers itself, with SIGTERM too. So a worker has to know whose signal it is.
"""

import os
import signal
from pathlib import Path
from threading import Thread

_OWN_THREADS = Path("/proc/self/task")


def ended_by_parent_alone(_worker: int) -> None:
    """Have this process end by a SIGTERM of its parent's, and pass over those of others; to be called first.

    That takes a process whose threads all block the signal, and thus one that was forked and has no second thread yet,
    as DataLoader's workers are on Linux before Python 3.14. Elsewhere nothing changes: whoever's SIGTERM ends it.
    """
    if not _OWN_THREADS.is_dir() or len(list(_OWN_THREADS.iterdir())) > 1:
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
