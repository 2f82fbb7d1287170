"""When a run saves what it needs to go on, and that what is saved is whole.

Checkpoints are written at the end of each epoch, or of every so many, and every so many minutes within one, aside, then
moved into place; the newest ones stay. On SIGTERM, with which clusters take machines away, one more is written and the
run ends: after the step, or, where the steps of an epoch are done, after its validation, for which no state in the
middle can be saved.
"""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from ddnn.config import TrainConfig
from ddnn.distributed.processes import any_process, largest
from ddnn.network.storage import write_checkpoint
from ddnn.runs.run_directory import RunDirectory
from ddnn.training.interrupts import Terminated, Termination
from ddnn.training.module import DepthDynamicTraining

_SAVE, _END = 1, 2  # what a process may want after a step; the processes do the most that any of them wants


class Checkpoints(Checkpoint):
    """Saves a run, and ends it when it is told to.

    Args:
        directory: of the run.
        config: how often, and how many are kept.
        termination: whether the run was told to end.
    """

    def __init__(self, directory: RunDirectory, config: TrainConfig, termination: Termination) -> None:
        self._directory, self._config, self._termination = directory, config, termination
        self._saved_at = time.monotonic()

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any, **__: Any) -> None:
        """Save in the middle of an epoch, where it is time; never between the parts of one step."""
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        step, part = divmod(batches, self._config.accumulate)
        if part or batches >= trainer.num_training_batches:
            return
        due = self._config.checkpoint_steps is not None and step % self._config.checkpoint_steps == 0
        wanted = largest(_END if self._termination.asked else _SAVE if due or self._late else 0)
        if wanted:
            assert isinstance(pl_module, DepthDynamicTraining)
            pl_module.check_finite()  # else the last good checkpoint would go
            self._save(trainer)
        if wanted == _END:
            raise Terminated("ended by SIGTERM after a whole step, which is saved")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save a whole epoch, after its metrics, where its turn is or the run ends."""
        done, asked = trainer.current_epoch + 1, any_process(self._termination.asked)
        if (
            asked
            or done % self._config.checkpoint_epochs == 0
            or done == self._config.epochs
            or trainer.should_stop  # for good, see `ddnn.training.best_epoch`
            or any_process(self._late)
        ):
            self._save(trainer)
        if asked and done < self._config.epochs:
            raise Terminated("ended by SIGTERM after a whole epoch, which is saved")

    @property
    def _late(self) -> bool:
        return time.monotonic() - self._saved_at > 60 * self._config.checkpoint_minutes

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self._directory.last_checkpoint)
        self._saved_at = time.monotonic()


class WholeCheckpoints(TorchCheckpointIO):
    """Never leaves half a checkpoint, and keeps the ones before.

    Args:
        keep: how many there are at most.
    """

    def __init__(self, keep: int) -> None:
        self._keep = keep

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """See `lightning.fabric.plugins.io.TorchCheckpointIO`."""
        write_checkpoint(Path(path), checkpoint, self._keep)
