"""A forked worker passes over everybody's SIGTERM but its parent's, and never outlives its parent."""

from pathlib import Path

import pytest

from tests.processes import completed

SCRIPT = """
import multiprocessing, os, subprocess, sys, time
from torch.utils.data import DataLoader
from ddnn.data.worker_signals import ended_by_parent_alone

kept = []

def work(signalled):
    loader = DataLoader(
        range(4), num_workers=2, persistent_workers=True, worker_init_fn=ended_by_parent_alone,
        multiprocessing_context="fork",
    )
    print(sum(int(batch) for batch in loader))
    workers = loader._iterator._workers
    if signalled == "by others":
        subprocess.run(["kill", "-TERM", *(str(worker.pid) for worker in workers)], check=True)
        time.sleep(0.2)
        print(sum(int(batch) for batch in loader), flush=True)
    if signalled == "by the parent":
        workers[0].terminate()
        workers[0].join(5)
        print(workers[0].exitcode, flush=True)
        sys.stdout.flush()
        os._exit(0)
    sys.stdout.flush()
    kept.append(loader)

if __name__ == "__main__":
    start_method, signalled = sys.argv[1:]
    if start_method == "none":
        work(signalled)
    else:
        child = multiprocessing.get_context(start_method).Process(target=work, args=(signalled,))
        child.start()
        child.join()
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="only Linux tells who has sent a signal")
@pytest.mark.parametrize(
    ("start_method", "signalled", "printed"),
    [
        ("none", "by others", "6\n6\n"),
        ("none", "by the parent", "6\n0\n"),
        # the parent is a child, which ends its children before anything else
        pytest.param("fork", "not at all", "6\n", marks=pytest.mark.slow),
        pytest.param("spawn", "by others", "6\n6\n", marks=pytest.mark.slow),
    ],
)
def test_it_ends_with_its_parent_alone(start_method: str, signalled: str, printed: str, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = completed(tmp_path / "script.py", start_method, signalled, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, printed, "")
