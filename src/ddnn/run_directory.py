"""What a training run leaves behind, and where: the one place that knows the layout.

RUN/network/            the trained network: model.safetensors and config.json
RUN/config.yaml         the configuration, which `ddnn train --config` takes again
RUN/metrics.csv         one row an epoch
RUN/results.json        accuracy of every net on the test images
RUN/tensorboard/        TensorBoard events
RUN/checkpoints/        last.ckpt, from which `ddnn train --resume RUN` goes on
"""

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ddnn.config import DataConfig, EvaluateConfig, TrainConfig, from_fields
from ddnn.errors import DDNNError, ModelFileError
from ddnn.storage import write_text


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
        """State after the last whole epoch."""
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
        names = [f"{config.full}-{data}", *(f"{config.full}-{data}-{number}" for number in range(2, 10_000))]
        return cls(next(path for name in names if not (path := Path("runs", name)).exists()))

    def create(self, config: TrainConfig) -> None:
        """Make the directory and write the configuration."""
        self.path.mkdir(parents=True, exist_ok=True)
        fields = {**dataclasses.asdict(config), "output": None, "resume": None}
        write_text(self.config_file, yaml.safe_dump(fields, sort_keys=False))

    def read_config(self) -> TrainConfig:
        """The configuration that `create` wrote.

        Raises:
            ModelFileError: if this is no run directory, or its configuration is damaged.
        """
        if not self.config_file.is_file():
            raise ModelFileError(f"{self.path} is no run directory: {self.config_file} is missing")
        try:
            return from_fields(TrainConfig, yaml.safe_load(self.config_file.read_text()))
        except (yaml.YAMLError, TypeError, KeyError) as error:
            raise ModelFileError(f"{self.config_file} is damaged: {' '.join(str(error).split())}") from None

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add a row to the metrics; rows of the same or a later epoch, left by a run that was cut short, go."""
        rows = [old for old in self.read_metrics() if int(old["epoch"]) < row["epoch"]]
        lines = [*rows, row]
        columns = list(dict.fromkeys(key for line in lines for key in line))
        partial = self.metrics.with_suffix(".partial")
        with partial.open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(lines)
        partial.replace(self.metrics)

    def read_metrics(self) -> list[dict[str, Any]]:
        """All rows so far."""
        if not self.metrics.is_file():
            return []
        with self.metrics.open(newline="") as file:
            return list(csv.DictReader(file))


def evaluation_data(path: Path, config: EvaluateConfig) -> DataConfig:
    """What to evaluate the network at `path` on: what `config` names, else what its run was trained on.

    Raises:
        DDNNError: if neither is known.
    """
    run = RunDirectory(path)
    if config.data is None and not run.config_file.is_file():
        raise DDNNError(f"{path} is a saved network, not a run, so it does not say what to evaluate on; give --data")
    own = DataConfig() if config.data is not None else run.read_config()
    return DataConfig(
        data=config.data or own.data,
        data_root=config.data_root if config.data is not None else own.data_root,
        batch_size=config.batch_size,
        workers=config.workers,
    )
