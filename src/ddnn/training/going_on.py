"""How a run goes on from a checkpoint: with what was changed, and with the time that it has taken so far."""

import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim.lr_scheduler import LambdaLR

from ddnn.config import TrainConfig
from ddnn.distributed.processes import Processes
from ddnn.errors import DDNNError
from ddnn.reporting.progress import say
from ddnn.runs.resuming import OF_THE_SCHEDULE, Resumed
from ddnn.runs.run_directory import RunDirectory
from ddnn.training.best_epoch import BestEpoch, is_exhausted
from ddnn.training.draw import is_full_alone
from ddnn.training.epoch_state import EpochState
from ddnn.training.module import PROCESSES, DepthDynamicTraining

_NEEDS_EPOCHS = ("lr", "keep", "patience")
"""Keys that would change nothing where no epoch is left."""


class Clock(Callback):
    """How long a run takes, over all calls that it took; after a kill, without what was lost.

    Args:
        directory: of the run, which says how long it took where a checkpoint is from before it did, and where the run
            had ended.
    """

    def __init__(self, directory: RunDirectory) -> None:
        self._began, self._directory, self._before = time.perf_counter(), directory, 0.0

    @property
    def seconds(self) -> float:
        """Until now."""
        return self._before + time.perf_counter() - self._began

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"seconds": self.seconds}

    def go_on(self, checkpoint: dict[str, Any], epochs: int) -> None:
        """Begin with what there was before: of a run that had ended, with all of it.

        Args:
            checkpoint: to go on from.
            epochs: how many the run had.
        """
        state = checkpoint.get("callbacks", {}).get(self.state_key)
        rows = self._directory.read_metrics() if state is None else []
        self._before = sum(float(row["seconds"]) for row in rows) if state is None else float(state["seconds"])
        if checkpoint["epoch"] + 1 >= epochs and EpochState.KEY not in checkpoint:
            self._before = max(self._before, self._directory.read_seconds())


class NewSchedule(Callback):
    """Has the learning rate follow a schedule that is not the one of the checkpoint, from where the run is.

    Args:
        resumed: what was changed.
    """

    def __init__(self, resumed: Resumed) -> None:
        self._resumed = resumed

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Set the learning rate to what the new schedule has for the next step."""
        del pl_module
        config, peak = self._resumed.config, self._resumed.config.peak_lr
        for each in trainer.lr_scheduler_configs:
            scheduler: Any = each.scheduler
            assert isinstance(scheduler, LambdaLR)
            scheduler.base_lrs = [peak] * len(scheduler.optimizer.param_groups)
            for group, factor in zip(scheduler.optimizer.param_groups, scheduler.lr_lambdas, strict=True):
                group["initial_lr"], group["lr"] = peak, peak * factor(scheduler.last_epoch)
            scheduler._last_lr = [group["lr"] for group in scheduler.optimizer.param_groups]
            if trainer.is_global_zero:
                say(
                    f"ddnn: the schedule ({config.schedule} over {config.epochs} epochs, peak {peak:g}) goes on from "
                    f"epoch {trainer.current_epoch}, at a learning rate of {scheduler._last_lr[0]:.3g}"
                )


def callbacks_of(resumed: Resumed | None) -> list[Callback]:
    """What has to be done besides, where the schedule was changed."""
    changed = resumed is not None and any(key in resumed.changed for key in OF_THE_SCHEDULE)
    return [NewSchedule(resumed)] if resumed is not None and changed else []


def checkpoint_of(
    directory: RunDirectory, resumed: Resumed, module: DepthDynamicTraining, processes: Processes, clock: Clock
) -> Path | None:
    """What to go on from; None if the run had come to no checkpoint. What was changed is said, and written down.

    Raises:
        DDNNError: the run is past what is wanted of it.
    """
    config, path = resumed.config, directory.good_checkpoint()
    if path is not None:
        saved = directory.read_checkpoint(path, module.state_dict())
        _check_epochs(directory, resumed, saved)
        clock.go_on(saved, resumed.changed.get("epochs", config.epochs))
        before = saved.get(PROCESSES, 1)
        if before != processes.count and processes.first:
            say(
                f"ddnn: going on with {processes.count} process{'es' * (processes.count > 1)} instead of {before}: the "
                "result is as good as it would have been, but not the same number for number"
            )
    if resumed.lasting and processes.first:
        say(f"ddnn: {directory.path} goes on with {resumed}")
        directory.rewrite_config(resumed.written)
    return path


def _check_epochs(directory: RunDirectory, resumed: Resumed, saved: dict[str, Any]) -> None:
    config, changed, come_to = resumed.config, resumed.changed, saved["epoch"] + 1
    if saved["epoch"] >= config.epochs:
        if "epochs" in changed:
            raise DDNNError(f"the run has come to epoch {come_to}, so --epochs {config.epochs} is too few; give more")
        raise DDNNError(
            f"{directory.config_file} has epochs: {config.epochs}, and the run has come to epoch {come_to}; "
            "restore the configuration that it was started with"
        )
    idle = [key for key in _NEEDS_EPOCHS if key in changed]
    if idle and come_to == config.epochs and EpochState.KEY not in saved:
        raise DDNNError(
            f"the run has ended with epoch {come_to}, so another {' or '.join(idle)} would change nothing; "
            "give more --epochs as well"
        )
    best = saved.get("callbacks", {}).get(BestEpoch.__qualname__, {})
    same = best.get("watched") == config.watched
    if same and is_exhausted(config.patience, best["best"], best["last"]) and set(changed) & set(OF_THE_SCHEDULE):
        raise DDNNError(
            f"the run has ended early, with epoch {come_to}, and would again by its patience of {config.patience}; "
            "give a larger --patience as well, or --patience null for none"
        )
    _check_subnets_stay(config, changed.get("epochs", config.epochs), come_to)


def _check_subnets_stay(config: TrainConfig, epochs_before: int, come_to: int) -> None:
    """Sub-nets that have begun would have to stop again: `subnets_from` is a share of the epochs."""
    share = config.subnets_from
    if is_full_alone(come_to, config.epochs, share) and not is_full_alone(come_to, epochs_before, share):
        raise DDNNError(
            f"with subnets_from {share}, the sub-nets of a run of {config.epochs} epochs begin after epoch {come_to}, "
            "and here they have begun: give fewer --epochs, or start a new run"
        )
