"""Which epoch was the best by the validation images: to keep it, to end early, and to say so where the last one is not.

The best weights lie in the run's checkpoint, not in a file of their own: so they are always those that belong to the
epoch that the checkpoint has come to, whenever a run is cut short.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from ddnn.config import TrainConfig
from ddnn.config.ending import MEAN
from ddnn.distributed.fsdp import gather
from ddnn.training.module import DepthDynamicTraining


class BestEpoch(Checkpoint):
    """Compares epochs, keeps the network of the best one where that is wanted, and ends a run that gets no better.

    To Lightning it is a checkpoint, for those are told of the end of an epoch last, once the losses were looked at; it
    has to stand before `ddnn.training.checkpoints.Checkpoints`, which saves what this one has seen.

    Args:
        config: by what, whether to keep the best, and after how many epochs to end.

    Attributes:
        best: number of the best epoch, from 1, and its accuracy; None before the first.
        last: those of the last epoch.
        tensors: the network of the best epoch, on the CPU and undivided; empty where it is not to be kept.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._watched, self._patience, self._keeps = config.watched, config.patience, config.keep != "last"
        self.best: tuple[int, float] | None = None
        self.last: tuple[int, float] | None = None
        self.tensors: dict[str, Tensor] = {}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End a run at once that goes on and had ended."""
        del pl_module
        if self._exhausted:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the epoch with the best one before."""
        assert isinstance(pl_module, DepthDynamicTraining)
        value = accuracy_of(self._watched, trainer.callback_metrics, pl_module.trained)
        if value is None:
            return
        self.last = trainer.current_epoch + 1, value
        if self.best is None or value > self.best[1]:
            self.best = self.last
            if self._keeps:  # `gather` gives what is on the CPU already as it is
                self.tensors = {name: tensor.clone() for name, tensor in gather(pl_module.result).items()}
        if self._exhausted:
            trainer.should_stop = True

    @property
    def _exhausted(self) -> bool:
        return is_exhausted(self._patience, self.best, self.last)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {"watched": self._watched, "best": self.best, "last": self.last, "tensors": self.tensors}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on, but with the comparison anew if it is another now, or if the best network was not kept."""
        if state_dict["watched"] != self._watched or (self._keeps and not state_dict["tensors"]):
            return
        self.best, self.last = state_dict["best"], state_dict["last"]
        self.tensors = state_dict["tensors"] if self._keeps else {}

    def to_json(self) -> dict[str, Any]:
        """What results.json says of it; empty where there were no validation images."""
        if self.best is None or self.last is None:
            return {}
        return {
            "by": self._watched,
            "best_epoch": self.best[0],
            "best_accuracy": self.best[1],
            "last_epoch": self.last[0],
            "last_accuracy": self.last[1],
            "kept_epoch": self.best[0] if self._keeps else self.last[0],
        }

    def verdict(self, epochs: int) -> str:
        """What a person should know at the end of a run of so many epochs; empty if all is as expected."""
        if self.best is None or self.last is None:
            return ""
        whose = (
            "the nets' mean validation accuracy" if self._watched == MEAN else f"{self._watched}'s validation accuracy"
        )
        (best, most), (last, now) = self.best, self.last
        text = []
        if self._exhausted and last < epochs:
            text.append(
                f"ended after epoch {last} of {epochs}: {whose} has not risen since epoch {best} (patience "
                f"{self._patience})"
            )
        if most > now:
            kept = (
                f"epoch {best} is kept"
                if self._keeps
                else f"epoch {last} is kept; --keep best:{self._watched} keeps the best"
            )
            text.append(
                f"{whose} was {100 * most:.2f} % in epoch {best} and {100 * now:.2f} % in the last, {last}: {kept}"
            )
        return "; ".join(text)


def is_exhausted(patience: int | None, best: tuple[int, float] | None, last: tuple[int, float] | None) -> bool:
    """Whether so many epochs have not been better than the best one.

    >>> is_exhausted(2, (3, 0.9), (5, 0.8)), is_exhausted(2, (3, 0.9), (4, 0.8)), is_exhausted(None, (3, 0.9), (9, 0.8))
    (True, False, False)
    """
    return patience is not None and best is not None and last is not None and last[0] - best[0] >= patience


def accuracy_of(watched: str, metrics: Mapping[str, Any], names: Sequence[str]) -> float | None:
    """The validation accuracy of a net, or the mean of all; None where nothing was validated.

    >>> accuracy_of("mean", {"accuracy/a": 0.5, "accuracy/b": 0.75, "loss": 2.0}, ["a", "b"])
    0.625
    """
    wanted = names if watched == MEAN else [watched]
    found = [float(metrics[f"accuracy/{name}"]) for name in wanted if f"accuracy/{name}" in metrics]
    return sum(found) / len(found) if found else None
