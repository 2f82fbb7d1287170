"""What a training run leaves behind, and where: the one place that knows the layout.

RUN/network/            the trained network: model.safetensors and config.json
RUN/config.yaml         the configuration, which `ddnn train --config` takes again
RUN/metrics.csv         one row an epoch
RUN/results.json        accuracy of every net on the test images
RUN/tensorboard/        TensorBoard events
RUN/checkpoints/        last.ckpt, from which `ddnn train --resume RUN` goes on; last-1.ckpt, the one before
"""

import dataclasses
import pickle
import shutil
import tempfile
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import torch
import yaml
from torch import Tensor

from ddnn.config import TrainConfig, from_fields
from ddnn.errors import DDNNError, ModelFileError
from ddnn.formats.safe_yaml import UnusableYaml, read_yaml
from ddnn.formats.staging import write_text
from ddnn.network.storage import checkpoint_files, is_whole_checkpoint
from ddnn.runs import figures
from ddnn_runtime.schema import unknown_keys

LAST_KEY = "precision"
"""Ends a configuration file, and is at or near the end of those of older versions: without it, one was cut short."""

_READ_BEFORE = {"orientation": "stored", "background": None}
"""How pictures were read when that was no key."""


class _Dumper(yaml.SafeDumper):
    """Writes paths, which the Python interface takes, as text."""


_Dumper.add_multi_representer(PurePath, lambda dumper, path: dumper.represent_str(str(path)))


@dataclass(frozen=True)
class RunDirectory:
    """The paths of one run."""

    path: Path

    @property
    def network(self) -> Path:
        """The saved network."""
        return self.path / "network"

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def results(self) -> Path:
        """Scores on the test images."""
        return self.path / "results.json"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard events."""
        return self.path / "tensorboard"

    @property
    def checkpoints(self) -> Path:
        """Lightning's checkpoints."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """State to go on from; older ones, last-1.ckpt and so on, are beside it."""
        return self.checkpoints / "last.ckpt"

    @property
    def config_file(self) -> Path:
        """The configuration as YAML."""
        return self.path / "config.yaml"

    @classmethod
    def claim(cls, config: TrainConfig) -> "RunDirectory":
        """The directory for a new run, which is not made yet.

        Raises:
            DDNNError: if `config.output` exists and is not empty.
        """
        if config.output is not None:
            path = Path(config.output)
            if path.exists() and (not path.is_dir() or any(path.iterdir())):
                raise DDNNError(
                    f"{path} exists already; give another --output, or go on with that run: ddnn train --resume {path}"
                )
            return cls(path)
        data = Path(config.data.rpartition(":")[2]).name
        title = f"{config.full.replace('/', '-')}-{data}"
        names = [title, *(f"{title}-{number}" for number in range(2, 10_000))]
        return cls(next(path for name in names if not (path := Path("runs", name)).exists()))

    def create(self, config: TrainConfig) -> "RunDirectory":
        """Make the directory and write the configuration.

        Returns:
            This directory, or one with the next number if another run has taken the name since it was claimed.

        Raises:
            DDNNError: if another run has taken `config.output`, or the configuration holds what YAML cannot.
        """
        text = _as_yaml(config)
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with self.config_file.open("x") as file:  # of all runs that want this name, one gets it
                file.write(text)
        except FileExistsError:
            return RunDirectory.claim(config).create(config)
        return self

    def entries(self) -> frozenset[Path] | None:
        """What is there; None if the directory is not there itself."""
        return frozenset(self.path.iterdir()) if self.path.exists() else None

    def tidy(self, before: frozenset[Path] | None) -> str:
        """After a run has broken off: remove what it left if there is nothing to go on from; says what is kept.

        Args:
            before: what `entries` was before the run.
        """
        if self.last_checkpoint.exists():
            return f"the last good checkpoint is {self.last_checkpoint}"
        for entry in (self.entries() or frozenset()) - (before or frozenset()):
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if before is None:
            self.path.rmdir()
        return "no epoch was complete, so nothing was kept"

    def read_config(self) -> TrainConfig:
        """The configuration that `create` wrote, maybe that of an older version: what was no key then has its default.
        Only pictures are still read as they were then.

        Raises:
            ModelFileError: if this is no run directory, or its configuration is damaged or has unknown keys.
        """
        if not self.config_file.is_file():
            raise ModelFileError(f"{self.path} is no run directory: {self.config_file} is missing")
        try:
            values = read_yaml(self.config_file)
        except UnusableYaml as error:
            raise ModelFileError(f"{self.config_file} is damaged: {error}") from None
        if not isinstance(values, dict) or LAST_KEY not in values:
            raise ModelFileError(f"{self.config_file} is damaged: it has no {LAST_KEY}, so its end is missing")
        if unknown := unknown_keys(TrainConfig, values):
            raise ModelFileError(
                f"{self.config_file} has keys that this version of ddnn does not know: {', '.join(unknown)}; use the "
                "version that wrote them, or take them out"
            )
        try:
            return from_fields(TrainConfig, values if "orientation" in values else {**values, **_READ_BEFORE})
        except DDNNError as error:
            raise ModelFileError(f"{self.config_file}: {error}") from None

    def rewrite_config(self, config: TrainConfig) -> None:
        """Write down with what configuration the run goes on."""
        write_text(self.config_file, _as_yaml(config))

    def good_checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole; None if there is none at all. Says so where it is not the last one.

        Raises:
            ModelFileError: if there are some, and all are damaged.
        """
        there = [path for path in checkpoint_files(self.last_checkpoint) if path.is_file()]
        whole = next((path for path in there if is_whole_checkpoint(path)), None)
        if there and whole is None:
            names = " and ".join(path.name for path in there)
            raise ModelFileError(f"{self.checkpoints / names} is damaged; train again with --config {self.config_file}")
        if whole is not None and whole != there[0]:
            warnings.warn(f"{there[0]} is damaged; going on from the one before, {whole.name}", stacklevel=2)
        return whole

    def read_checkpoint(self, path: Path, expected: Mapping[str, Tensor]) -> dict[str, Any]:
        """A checkpoint, compared with the state dict that the configuration leads to.

        Raises:
            ModelFileError: if it is no checkpoint of ours, or names or shapes differ.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
            found = {name: tensor.shape for name, tensor in state["state_dict"].items()}
            state["epoch"] = int(state["epoch"])
        except (RuntimeError, KeyError, TypeError, ValueError, AttributeError, EOFError, pickle.UnpicklingError):
            raise ModelFileError(f"{path} is no checkpoint of ddnn train") from None
        if found != {name: tensor.shape for name, tensor in expected.items()}:
            raise ModelFileError(
                f"{path} and {self.config_file} do not fit: they describe different networks; "
                "restore the configuration that the run was started with"
            )
        return state

    def check_room(self, needed: int) -> None:
        """Raise a DDNNError unless this directory can be written to and its disk has room for so many bytes,
        those of the checkpoints that are there among them."""
        there = next(folder for folder in (self.path, *self.path.absolute().parents) if folder.exists())
        for folder in (there, *(entry for entry in (self.checkpoints, self.network) if entry.is_dir())):
            _try_writing(folder)
        free = shutil.disk_usage(there).free
        needed -= sum(path.stat().st_size for path in checkpoint_files(self.last_checkpoint) if path.is_file())
        if free < needed:
            raise DDNNError(
                f"the disk of {there} has {free / 1e6:.0f} MB left, and the run needs about {needed / 1e6:.0f} MB for "
                "checkpoints and the network; make room, give another --output, or a smaller --keep_checkpoints"
            )

    def read_accuracies(self) -> dict[str, float]:
        """Accuracy of each net on the test images; empty if this is no run, or it did not come so far."""
        return figures.read_accuracies(self.results)

    def read_tested_on(self, images: str) -> str:
        """`images`, test images in words, with what the results say of them: how many, and how many were left out."""
        return figures.read_tested_on(self.results, images)

    def read_seconds(self) -> float:
        """How long the training took, by the results; 0 where there are none, or those of an older version."""
        return figures.read_seconds(self.results)

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add the row of an epoch to the metrics; see `figures.append_row`."""
        figures.append_row(self.metrics, row)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All rows of the metrics so far."""
        return figures.read_rows(self.metrics)


def _as_yaml(config: TrainConfig) -> str:
    """A configuration as `read_config` takes it again."""
    fields = {**dataclasses.asdict(config), "output": None, "resume": None}
    fields[LAST_KEY] = fields.pop(LAST_KEY)
    try:
        return yaml.dump(fields, Dumper=_Dumper, sort_keys=False)
    except yaml.YAMLError as error:
        raise DDNNError(f"the configuration cannot be written as YAML: {' '.join(map(str, error.args))}") from None


def _try_writing(folder: Path) -> None:
    """Make a file without a name: permissions alone do not tell, neither of root's nor of folders on other machines."""
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise DDNNError(
            f"{folder} cannot be written to ({error.strerror}); give another --output, or mend its permissions"
        ) from None
