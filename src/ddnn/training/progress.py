"""What a person sees of a training run while it goes on: Lightning's bar on a terminal, else one line an epoch."""

import logging
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback, RichProgressBar

from ddnn.config import TrainConfig
from ddnn.reporting.progress import say, shows_bar

EpochObserver = Callable[[dict[str, Any]], None]
"""Is given an epoch's row: `epoch`, `train/…` losses, `accuracy/NAME` and `seconds`."""


class AccuracyBar(RichProgressBar):
    """Lightning's progress bar, with every sub-net's validation accuracy in per cent."""

    def __init__(self) -> None:
        super().__init__(console_kwargs={"stderr": True})

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        """The accuracies, by the names of the nets."""
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        return {
            name.removeprefix("accuracy/"): f"{100 * value:.1f}%"
            for name, value in metrics.items()
            if name.startswith("accuracy/")
        }


def progress_bars(progress: bool) -> list[Callback]:
    """The bar, where it suits."""
    return [AccuracyBar()] if shows_bar(progress) else []


def epoch_observers(config: TrainConfig, progress: bool) -> list[EpochObserver]:
    """What prints a line an epoch, where progress is wanted and a bar does not suit."""

    def print_line(row: Mapping[str, Any]) -> None:
        accuracies = "  ".join(
            f"{name.removeprefix('accuracy/')} {100 * value:.1f}%"
            for name, value in row.items()
            if name.startswith("accuracy/")
        )
        say(
            f"epoch {row['epoch']}/{config.epochs}  loss {row['train/loss']:.3f}  {accuracies}  "
            f"({row['seconds']:.1f} s)"
        )

    return [print_line] if progress and not shows_bar(progress) else []


def quiet_lightning() -> None:
    """Keep Lightning's advice, which is for those who write training loops, from those who run ours."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module=r"lightning\..*")
