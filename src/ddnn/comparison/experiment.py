"""What a comparison leaves behind, and where: the one place that knows the layout.

EXPERIMENT/experiment.yaml                 what all runs have in common
EXPERIMENT/scores/METHOD-[NET-]seedN.json  what the nets of a run scored; a run that has it is complete
EXPERIMENT/runs/METHOD/[NET/]seedN/        run directories of `ddnn train`
EXPERIMENT/summary.json, table.csv, …      the report, see `ddnn.comparison.report`

All but `runs` is small, and enough to go on from: kept under version control, a comparison can be spread over days and
machines.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from ddnn.comparison.methods import Task
from ddnn.config import OWN_KEYS, CompareConfig
from ddnn.errors import DDNNError, ModelFileError
from ddnn.formats.safe_yaml import UnusableYaml, read_yaml
from ddnn.formats.staging import write_text
from ddnn.measuring.evaluation import Score
from ddnn.runs.run_directory import LAST_KEY, RunDirectory
from ddnn_runtime.documents import read_document

_FREE_KEYS = ("methods", "seeds", "budget", "output", "jobs")  # may change from one call to the next: runs are added
_FREE_TRAIN_KEYS = (*OWN_KEYS, "data_root", "device", "workers", "checkpoint_epochs")
_LOCK = ".lock"


@dataclass(frozen=True)
class RunScores:
    """What one run gave.

    Args:
        scores: of each of its nets.
        seconds: of training, over all calls that it took; after a kill, without what was lost.
        peak_memory_mb: None where it cannot be measured.
        device: what it ran on, in words, and with how many threads.
        epochs: that it trained for; None in files of earlier versions.
    """

    scores: dict[str, Score]
    seconds: float
    peak_memory_mb: float | None
    device: str
    epochs: int | None = None


@dataclass(frozen=True)
class Experiment:
    """The results folder of a comparison."""

    path: Path

    @classmethod
    @contextmanager
    def open(cls, config: CompareConfig) -> "Iterator[Experiment]":
        """The folder of a comparison, made if it is not there; other comparisons are kept out of it for a while.

        Raises:
            DDNNError: if it holds something else, or a comparison under other conditions, or one is at work there, on
                this machine or one that shares the disk.
        """
        data = Path(config.train.data.rpartition(":")[2]).name
        path = Path(config.output or Path("results", f"{config.train.full.replace('/', '-')}-{data}"))
        experiment = cls(path)
        if not experiment.conditions_file.exists() and path.exists() and (not path.is_dir() or _holds_anything(path)):
            raise DDNNError(f"{path} exists already and is no comparison; give another --output")
        path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(path / _LOCK, timeout=0):
                experiment._take(config)
                yield experiment
        except Timeout:
            raise DDNNError(
                f"another ddnn compare is at work in {path}; wait for it, or give another --output"
            ) from None

    @property
    def conditions_file(self) -> Path:
        """What all runs have in common."""
        return self.path / "experiment.yaml"

    def run_directory(self, task: Task) -> RunDirectory:
        """The run directory of a task."""
        return RunDirectory(self.path / task.path)

    def scores(self, task: Task) -> RunScores | None:
        """What the run of a task gave; None if it is not complete.

        Raises:
            ModelFileError: if the file is damaged.
        """
        file = next((file for file in self._score_files(task) if file.is_file()), None)
        if file is None:
            return None
        run = read_document(file, RunScores, fix=f"delete it to run {task} again", closed=(Score,))
        if run.epochs not in (None, task.epochs):
            raise ModelFileError(
                f"{file} is of a run of {run.epochs} epochs, and {task} is to have {task.epochs} now: the cost of a "
                "step is counted otherwise; delete it, or give another --output"
            )
        return run

    def _score_files(self, task: Task) -> tuple[Path, Path]:
        """Where the scores of a task are, and where earlier versions wrote them."""
        return self.path / "scores" / f"{task.key}.json", self.run_directory(task).path / "scores.json"

    def all_scores(self, tasks: Iterable[Task]) -> dict[Task, RunScores]:
        """What those of the tasks gave that are complete."""
        return {task: scores for task in tasks if (scores := self.scores(task)) is not None}

    def complete(self, task: Task, scores: RunScores) -> None:
        """Write what the run of a task gave; its checkpoints, which nobody needs any more, go."""
        file, _ = self._score_files(task)
        file.parent.mkdir(exist_ok=True)
        write_text(file, json.dumps(dataclasses.asdict(scores), indent=2) + "\n")
        shutil.rmtree(self.run_directory(task).checkpoints, ignore_errors=True)

    def resumable(self, task: Task) -> bool:
        """Whether the run of a task was begun and can go on; what cannot, for no epoch was complete, is removed."""
        directory = self.run_directory(task)
        if directory.last_checkpoint.is_file():
            return True
        shutil.rmtree(directory.path, ignore_errors=True)
        return False

    def _take(self, config: CompareConfig) -> None:
        """Write down the conditions of a new comparison, or compare them with those that are there."""
        if not self.conditions_file.is_file():
            return write_text(self.conditions_file, yaml.safe_dump(conditions(config), sort_keys=False))
        try:
            there = read_yaml(self.conditions_file)
        except UnusableYaml as error:
            raise ModelFileError(f"{self.conditions_file} is damaged: {error}") from None
        here = conditions(config)
        there = there if isinstance(there, dict) else {}
        if LAST_KEY in there:  # else its end is missing, and with it perhaps what differs
            there = _filled(there, conditions(CompareConfig()))
        differing = [
            f"{key} {there.get(key, 'not known')} there and {here.get(key, 'not known')} here"
            for key in here | there
            if here.get(key) != there.get(key)
        ]
        if differing:
            raise DDNNError(
                f"{self.path} is another comparison, with {'; '.join(differing[:5])}; give another --output, or the "
                "same keys"
            )


def conditions(config: CompareConfig) -> dict[str, Any]:
    """What all runs of a comparison have in common, with names as in YAML; methods and seeds may be added later."""
    own = {key: value for key, value in dataclasses.asdict(config).items() if key not in (*_FREE_KEYS, "train")}
    train = {key: value for key, value in dataclasses.asdict(config.train).items() if key not in _FREE_TRAIN_KEYS}
    train["shards"] = {"block": config.train.shards.block}  # which alone says what is learnt when
    return json.loads(json.dumps(own | train, default=str))


def _holds_anything(path: Path) -> bool:
    return any(entry.name != _LOCK for entry in path.iterdir())


def _filled(there: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier version wrote, with what it did not know yet."""
    inner = {key: value for key, value in defaults.items() if isinstance(value, dict)}
    known = {key: _filled(there[key], inner[key]) for key in inner if isinstance(there.get(key), dict)}
    return {**defaults, **there, **known}
