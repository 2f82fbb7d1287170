"""What needs no network answers without loading what networks need: help, the list of families, and wrong input.

How long that takes is measured in `benchmarks/start_up.py`; here is what it would be spent on.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ddnn.cli import COMMANDS

HEAVY = {"torch", "torchvision", "lightning", "torchmetrics", "sklearn", "scipy", "pyarrow", "numpy", "PIL", "timm"}

IN_A_FRESH_PROCESS = """
import json, sys
from ddnn.cli import main
try:
    status = main(sys.argv[1:])
except SystemExit as end:  # after --help and --version
    status = end.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(status)
"""


def modules_after(folder: Path, *arguments: str) -> tuple[int, set[str]]:
    """The exit status of a command and the modules that it has left loaded, in a process of its own."""
    command = [sys.executable, "-c", IN_A_FRESH_PROCESS, *arguments]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return result.returncode, set(json.loads(result.stderr.splitlines()[-1]))


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
