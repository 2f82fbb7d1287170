"""The configuration that a run goes on with: its own, and what was given beside `--resume`.

More epochs and another learning rate are what people want of a run that they have. What else may change has no say in
what the run learns from. All other keys are refused, for half a run under one and half under another is neither.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ddnn.config import TrainConfig
from ddnn.errors import DDNNError
from ddnn.runs.run_directory import RunDirectory
from ddnn_runtime.untrusted import shown

OF_THE_SCHEDULE = ("epochs", "lr")
"""What may change, and changes what is learnt."""
CHANGEABLE = (
    *OF_THE_SCHEDULE,
    "keep",
    "patience",
    "checkpoint_epochs",
    "checkpoint_minutes",
    "checkpoint_steps",
    "keep_checkpoints",
    "data_root",
    "workers",
    "max_corrupt",
    "device",
    "devices",
)
"""The keys that may be given beside `resume`."""
_FOR_ONCE = ("device", "devices")
"""Circumstances of a call, which are not written down."""


@dataclasses.dataclass(frozen=True)
class Resumed:
    """What a run goes on with.

    Args:
        config: of the run from here on.
        changed: what it was before, of the keys that are another now.
    """

    config: TrainConfig
    changed: Mapping[str, Any]

    @property
    def written(self) -> TrainConfig:
        """The configuration to write down, without what is for this call alone."""
        own = {key: value for key, value in self.changed.items() if key in _FOR_ONCE}
        return dataclasses.replace(self.config, **own)

    @property
    def lasting(self) -> bool:
        """Whether there is anything to write down."""
        return any(key not in _FOR_ONCE for key in self.changed)

    def __str__(self) -> str:
        """The changes, such as `epochs 40 instead of 20`."""
        return ", ".join(
            f"{key} {shown(getattr(self.config, key))} instead of {shown(old)}" for key, old in self.changed.items()
        )


def resumed(directory: RunDirectory, asked: TrainConfig) -> Resumed:
    """The configuration to go on with in a run directory.

    Args:
        directory: of the run.
        asked: of this, only the fields that were given count (`TrainConfig.given`).

    Raises:
        ModelFileError: if the directory has no configuration that can be read.
        DDNNError: if a key was given that cannot change in the middle of a run, and is another there.
    """
    own = directory.read_config()
    given = {key: getattr(asked, key) for key in dataclasses.asdict(asked) if key in asked.given - {"resume"}}
    if given.get("output") is None or Path(given["output"]).absolute() == directory.path.absolute():
        given.pop("output", None)
    changed = {key: getattr(own, key) for key, value in given.items() if value != getattr(own, key)}
    wrong = [key for key in changed if key not in CHANGEABLE]
    if wrong:
        raise DDNNError(
            f"--resume goes on with the configuration in {directory.config_file}, where {_differences(wrong, own)}; "
            f"in the middle of a run only {', '.join(CHANGEABLE)} may change: leave {' and '.join(wrong)} out, or "
            "start a new run"
        )
    new = {key: given[key] for key in changed}
    if "devices" in new and new["devices"] is None:
        del new["devices"], changed["devices"]
    return Resumed(dataclasses.replace(own, **new, resume=str(directory.path)), changed)


def _differences(keys: list[str], own: TrainConfig) -> str:
    return " and ".join(f"{key} is {shown(getattr(own, key))}" for key in keys)
