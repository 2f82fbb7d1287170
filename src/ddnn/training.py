"""Train a network: the Lightning module, and the one function that runs it.

A run can be cut short at any moment and resumed from its last whole epoch with the same result, bit for bit on a
CPU: all randomness of an epoch follows from the seed and the epoch's number.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import ZipFile, is_zipfile

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy

from ddnn.building import build
from ddnn.config import TrainConfig
from ddnn.data import Data, open_data
from ddnn.devices import pick_device
from ddnn.errors import DDNNError, ModelFileError
from ddnn.network import DepthDynamicNetwork
from ddnn.objectives import EKD, Joint, Objective
from ddnn.optimization import make_optimizer, schedule
from ddnn.progress import EpochObserver, epoch_observers, progress_bars, quiet_lightning, shows_bar
from ddnn.run_directory import RunDirectory

FINITE_CHECK_STEPS = 50  # reading a number from a GPU waits for it, so the loss is looked at only so often


class NonFiniteLossError(DDNNError):
    """The loss became infinite or no number, so the training was stopped."""


@dataclass(frozen=True)
class Run:
    """A finished training run.

    Args:
        network: the trained network.
        data: what it was trained on.
        directory: what it left behind.
        config: how it was trained.
        seconds: wall time of the training, validation included, of this process.
    """

    network: DepthDynamicNetwork
    data: Data
    directory: RunDirectory
    config: TrainConfig
    seconds: float


class DepthDynamicTraining(LightningModule):
    """Trains all nets of a network together.

    Args:
        network: what is trained.
        objective: what an iteration minimises.
        data: where the images come from.
        config: the optimizer, the schedule and the rest.
        observers: called after each epoch with its number, losses, accuracies and seconds.
    """

    def __init__(
        self,
        network: DepthDynamicNetwork,
        objective: Objective,
        data: Data,
        config: TrainConfig,
        observers: Sequence[EpochObserver] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.data = data
        self.config = config
        self.observers = tuple(observers)
        self.validation_accuracy = nn.ModuleDict(
            {f"net_{name}": MulticlassAccuracy(network.num_classes, average="micro") for name in network.names}
        )
        self._joint_forward = torch.compile(network.forward_all) if config.compile else network.forward_all
        self._parts: dict[str, Tensor] = {}
        self._batches: Any = None
        self._began = 0.0

    def train_dataloader(self) -> Any:
        """The training images, on the device."""
        self._batches = self.data.training(self.device, shard=self._shard)
        return self._batches

    def val_dataloader(self) -> Any:
        """The validation images, on the device."""
        return self.data.validation(self.device, shard=self._shard) or []

    @property
    def _shard(self) -> tuple[int, int]:
        return self.global_rank, self.trainer.world_size

    def configure_optimizers(self) -> Any:
        """See `ddnn.optimization`."""
        optimizer = make_optimizer(self.network, self.config)
        steps = max(1, int(self.trainer.estimated_stepping_batches) // self.config.epochs)
        return [optimizer], [{"scheduler": LambdaLR(optimizer, schedule(self.config, steps)), "interval": "step"}]

    def on_train_epoch_start(self) -> None:
        """Make all randomness of the epoch follow from the seed and its number."""
        torch.manual_seed(self.config.seed * 100_003 + self.current_epoch)
        self._batches.set_epoch(self.current_epoch)
        self._parts = {}
        self._began = time.perf_counter()

    def training_step(self, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        """The loss of one batch."""
        images, labels = batch
        epoch = self.current_epoch + batch_index / len(self._batches)
        loss = self.objective(self._joint_forward(images), labels, epoch)
        for name, part in {"loss": loss.total.detach(), **loss.parts}.items():
            self._parts[name] = self._parts.get(name, 0.0) + part
        if (batch_index + 1) % FINITE_CHECK_STEPS == 0:
            self._refuse_non_finite()
        return loss.total

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means; runs after validation and before the checkpoint is written."""
        self._refuse_non_finite()
        seconds = time.perf_counter() - self._began
        means = {f"train/{name}": float(total) / len(self._batches) for name, total in self._parts.items()}
        optimizer: Any = self.optimizers()
        self.log_dict({**means, "lr": optimizer.param_groups[0]["lr"], "seconds": seconds})
        if self.trainer.is_global_zero:
            accuracies = {
                name: float(value)
                for name, value in self.trainer.callback_metrics.items()
                if name.startswith("accuracy/")
            }
            for observe in self.observers:
                observe({"epoch": self.current_epoch + 1, **means, **accuracies, "seconds": round(seconds, 3)})

    def validation_step(self, batch: tuple[Tensor, Tensor], _batch_index: int) -> None:
        """Count what each net gets right."""
        images, labels = batch
        for name, output in self.network.forward_all(images).items():
            self._accuracy(name).update(output.logits, labels)

    def on_validation_epoch_end(self) -> None:
        """Log each net's accuracy."""
        for name in self.network.names:
            self.log(f"accuracy/{name}", self._accuracy(name), prog_bar=True)

    def _accuracy(self, name: str) -> MulticlassAccuracy:
        metric = self.validation_accuracy[f"net_{name}"]
        assert isinstance(metric, MulticlassAccuracy)
        return metric

    def _refuse_non_finite(self) -> None:
        if not self._parts or bool(torch.isfinite(self._parts["loss"])):
            return
        culprits = ", ".join(name for name, total in self._parts.items() if not torch.isfinite(total))
        raise NonFiniteLossError(
            f"the loss is not finite in epoch {self.current_epoch + 1} ({culprits}); try a smaller --lr, or --clip 1"
        )


def train(config: TrainConfig, *, progress: bool = True) -> Run:
    """Train a network as configured, or go on with the run that `config.resume` names.

    Args:
        config: see `TrainConfig`.
        progress: show a progress bar (one line an epoch where there is no terminal) on standard error.

    Raises:
        DDNNError: for anything in the configuration or the data that cannot be; nothing is written then.
        NonFiniteLossError: if the loss is not finite; the run directory keeps the last good checkpoint.

    Example:
        >>> from ddnn import TrainConfig, train
        >>> run = train(TrainConfig(epochs=1, train_images=256, output=getfixture("tmp_path") / "run"), progress=False)
        >>> run.network.names
        ('resnet8', 'resnet14', 'resnet20')
    """
    if config.resume is not None:
        directory = RunDirectory(Path(config.resume))
        config = _resumed(config, directory)
    else:
        directory = RunDirectory.claim(config)
    device = pick_device(config.device)
    data = open_data(config, config.seed)
    network = make_network(config, data)
    data.training(torch.device("cpu"))  # refuse what cannot be trained on before anything is written
    if config.resume is None:
        directory.create(config)
    quiet_lightning()
    began = time.perf_counter()
    observers = [directory.append_metrics, *epoch_observers(config, progress)]
    module = DepthDynamicTraining(network, make_objective(config), data, config, observers)
    checkpoint = directory.last_checkpoint if config.resume is not None else None
    try:
        _trainer(config, device, directory, progress).fit(module, ckpt_path=checkpoint, weights_only=True)
    except NonFiniteLossError as error:
        kept = directory.last_checkpoint
        where = f"the last good checkpoint is {kept}" if kept.exists() else "no epoch was complete, so none was kept"
        raise NonFiniteLossError(f"{error}; {where}") from None
    seconds = time.perf_counter() - began
    network.eval()
    network.save(directory.network)
    return Run(network, data, directory, config, seconds)


def make_network(config: TrainConfig, data: Data) -> DepthDynamicNetwork:
    """The network of a configuration, for the classes and channels of the data."""
    torch.manual_seed(config.seed)
    network = build(
        config.full,
        config.subnet_depths,
        num_classes=data.spec.num_classes,
        in_channels=data.spec.channels,
        weights=config.weights,
        **config.model_options,
    )
    network.data_spec = data.spec
    return network


def make_objective(config: TrainConfig) -> Objective:
    """The objective of a configuration."""
    if config.objective == "joint":
        return Joint(config.label_smoothing)
    return EKD(config.ekd, config.label_smoothing)


def _resumed(config: TrainConfig, directory: RunDirectory) -> TrainConfig:
    own = directory.read_config()
    if replace(config, resume=None) != TrainConfig():
        raise DDNNError(f"--resume goes on with the configuration in {directory.config_file}; give no other key")
    if not directory.last_checkpoint.is_file():
        raise ModelFileError(
            f"{directory.path} has no checkpoint to go on from: no epoch was complete; "
            f"train again with --config {directory.config_file}"
        )
    if not is_zipfile(directory.last_checkpoint) or ZipFile(directory.last_checkpoint).testzip() is not None:
        raise ModelFileError(
            f"{directory.last_checkpoint} is damaged; train again with --config {directory.config_file}"
        )
    return replace(own, resume=str(directory.path))


def _trainer(config: TrainConfig, device: torch.device, directory: RunDirectory, progress: bool) -> Trainer:
    checkpoint = ModelCheckpoint(
        directory.checkpoints, filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    return Trainer(
        accelerator="gpu" if device.type == "cuda" else device.type,
        devices=1,
        precision=config.precision,
        max_epochs=config.epochs,
        gradient_clip_val=config.clip,
        logger=TensorBoardLogger(directory.path, name="", version="tensorboard"),
        callbacks=[checkpoint, *progress_bars(progress)],
        enable_progress_bar=shows_bar(progress),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=directory.path,
    )
