"""What needs no network answers without loading what networks need: help, the list of families, and wrong input.

How long that takes is measured in `benchmarks/start_up.py`; here is what it would be spent on.
"""

import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from ddnn.cli import COMMANDS

HEAVY = {"torch", "torchvision", "lightning", "torchmetrics", "sklearn", "scipy", "pyarrow", "numpy", "PIL", "timm"}

IN_FRESH_PROCESSES = """
import json, os, sys
from ddnn.cli import main
for line in sys.stdin:
    folder, arguments = json.loads(line)
    child = os.fork()  # of a process that has imported the command line alone
    if not child:
        os.chdir(folder)
        answer = os.dup(1)
        for number in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), number)
        try:
            status = main(arguments)
        except SystemExit as end:  # after --help and --version
            status = end.code
        os.write(answer, (json.dumps([status, sorted(sys.modules)]) + "\\n").encode())
        os._exit(0)
    os.waitpid(child, 0)
"""


@cache
def _fresh_processes() -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", IN_FRESH_PROCESSES]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def modules_after(folder: Path, *arguments: str) -> tuple[int, set[str]]:
    """The exit status of a command and the modules that it has left loaded, in a process of its own."""
    processes = _fresh_processes()
    assert processes.stdin is not None
    assert processes.stdout is not None
    print(json.dumps([str(folder), arguments]), file=processes.stdin, flush=True)
    status, modules = json.loads(processes.stdout.readline())
    return status, set(modules)


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("--help", 0),
        ("--version", 0),
        *[(f"{name} --help", 0) for name in COMMANDS],
        ("families", 0),
        ("families --json", 0),
        ("families --image_size 31", 1),
        ("trian", 2),
        ("", 2),
        ("train --epoch 3", 2),
        ("train --epochs zero", 2),
        ("train --epochs 0", 1),
        ("train --ekd.alpha -1", 1),
        ("train --config cifar10-resnet21", 1),
        ("predict run photo.jpg --top 0", 1),
    ],
)
def test_nothing_heavy_is_loaded(command: str, status: int, tmp_path: Path) -> None:
    ended, modules = modules_after(tmp_path, *command.split())
    assert ended == status
    assert modules >= {"ddnn.cli", "ddnn.config"}
    assert not modules & HEAVY
