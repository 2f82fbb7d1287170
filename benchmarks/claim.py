"""The claim of the project, as the comparisons that it stands on: one command, taken up again until all are complete.

python benchmarks/claim.py --data DIR [--only a,c --jobs 2 --output results --dry]

DIR has the folders cifar10 and tinyimagenet100, each with train.parquet and test.parquet. Every comparison is one
`ddnn compare`, which is printed before it runs; run alone, it does the same. They go in this order, which is that of
their worth: whoever stops this, or whose machine stops, loses an epoch, and the same command goes on. A run is complete
where its scores are, so those that others have committed under `results` are not run again.
"""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from command import run
from ddnn.config.fields import listed
from ddnn.errors import DDNNError, near

EKD = ("--ekd.teacher", "full", "--ekd.alpha", "1", "--ekd.temperature", "1", "--ekd.beta", "0")
"""The candidate, the paper's objective at T 1; written out, so that what was begun goes on whatever defaults become."""
COMMON = ("--validation", "0", "--batch_size", "128", "--precision", "32-true", "--compile", "true", *EKD)
LITTLE = ("--data", "parquet:cifar10", "--train_images", "5000", "--epochs", "100")
LEAST = ("--data", "parquet:cifar10", "--train_images", "2000", "--epochs", "200")
HARDER = ("--data", "parquet:tinyimagenet100", "--epochs", "40")
STRONG = ("--augment.policy", "trivialaugment")
"""ResNet-8/14/20 throughout: on two cores ResNet-20/32/56 would take about 9 hours a seed on the harder set."""


@dataclass(frozen=True)
class Comparison:
    """One `ddnn compare`.

    Args:
        name: its results folder.
        options: what is compared on which images.
    """

    name: str
    options: tuple[str, ...]

    def command(self, output: Path, jobs: int) -> list[str]:
        """What to type, in the folder of the data."""
        where = ("--jobs", str(jobs), "--output", str(output / self.name))
        return ["ddnn", "compare", *self.options, *COMMON, *where]


THREE = ("--methods", "alone,joint,ekd", "--seeds", "0,1,2")
COMPARISONS = {
    "a": Comparison("cifar10-5000", (*LITTLE, *THREE)),
    "b": Comparison("cifar10-5000", (*LITTLE, "--methods", "alone,pruned,joint,ekd,adn", "--seeds", "0,1,2,3,4")),
    "c": Comparison("tinyimagenet100", (*HARDER, *THREE)),
    "d": Comparison("cifar10-5000", (*LITTLE, *THREE, "--budget", "epochs,compute")),
    "d2": Comparison("tinyimagenet100", (*HARDER, *THREE, "--budget", "epochs,compute")),
    "e": Comparison("tinyimagenet100-strong", (*HARDER, *STRONG, *THREE)),
    "f": Comparison("cifar10-2000", (*LEAST, "--methods", "alone,joint,ekd", "--seeds", "0,1,2,3,4")),
}


def main(
    data: str = ".", only: str | None = None, jobs: int | None = None, output: str = "results", dry: bool = False
) -> None:
    """Run the comparisons that are not complete, one after the other.

    Args:
        data: the folder that has cifar10 and tinyimagenet100.
        only: letters of the comparisons, with commas between them; None means all.
        jobs: runs at once; None means one a core.
        output: the folder that has the results folders.
        dry: print the commands, and run nothing.
    """
    import torch

    wanted = list(COMPARISONS) if only is None else listed(only)
    for letter in wanted:
        if letter not in COMPARISONS:
            raise DDNNError(f"there is no comparison {letter!r}; {near(letter, COMPARISONS)}")
    for letter in wanted:
        command = COMPARISONS[letter].command(Path(output).absolute(), jobs or torch.get_num_threads())
        print(f"{letter}: {' '.join(command)}", flush=True)
        if not dry:
            subprocess.run([sys.executable, "-m", *command], cwd=data, check=True)


if __name__ == "__main__":
    run(main)
