"""How long a command takes that needs no network: help, the list of families, wrong input.

python benchmarks/start_up.py [--repeats 15 --output figures.json]

Each is a process of its own, as a person starts it. Two others are there to compare with: the interpreter alone, which
no command can beat, and `import torch`, which is what a command that loaded it would take at least.
"""

import subprocess
import sys
from functools import partial

from command import run
from reporting import Report
from timing import Work, interleaved, milliseconds

COMMANDS = (
    "--help",
    "train --help",
    "families",
    "families --json",
    "trian",
    "train --epoch 3",
    "train --epochs zero",
    "train --epochs 0",
)


def main(repeats: int = 15, output: str | None = None) -> None:
    """Print medians and quartiles of the wall time.

    Args:
        repeats: turns that count.
        output: a JSON file for the figures, too.
    """
    works: dict[str, Work] = {"python, nothing": partial(run_process, "-c", "pass")}
    works |= {f"ddnn {command}": partial(run_process, "-m", "ddnn.cli", *command.split()) for command in COMMANDS}
    works |= {"python, import torch": partial(run_process, "-c", "import torch")}
    seconds = interleaved(works, repeats)
    rows = [{"command": name, **milliseconds(times)} for name, times in seconds.items()]
    Report("how long does a command take that needs no network?", output).table("wall time of a process", rows)


def run_process(*arguments: str) -> None:
    """Python with these arguments in a process of its own; what it prints is dropped, whatever its status is."""
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


if __name__ == "__main__":
    run(main)
