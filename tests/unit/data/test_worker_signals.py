"""A worker passes over SIGTERM, until its parent ends."""

import subprocess
import sys

import pytest

SCRIPT = """
import os, signal, sys, time
from torch.utils.data import DataLoader
from ddnn.data.worker_signals import ended_by_parent_alone

if __name__ == "__main__":
    loader = DataLoader(
        range(4), num_workers=2, persistent_workers=True, worker_init_fn=ended_by_parent_alone(),
        multiprocessing_context=sys.argv[1],
    )
    print(sum(int(batch) for batch in loader))
    for worker in loader._iterator._workers:
        os.kill(worker.pid, signal.SIGTERM)
    time.sleep(0.2)
    print(sum(int(batch) for batch in loader), flush=True)
"""


@pytest.mark.parametrize("context", ["fork", "forkserver"])
def test_it_works_on_and_ends_with_its_parent(context: str, tmp_path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run([sys.executable, tmp_path / "script.py", context], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "6\n6\n", "")
