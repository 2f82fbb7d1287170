"""Train a network: the Lightning module, and the one function that runs it.

A run can be cut short at any moment and resumed from its last whole epoch with the same result, bit for bit on a
CPU: all randomness of an epoch follows from the seed and the epoch's number.
"""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics.classification import MulticlassAccuracy

from ddnn.building import build
from ddnn.config import TrainConfig
from ddnn.data import Data, open_data
from ddnn.devices import pick_device
from ddnn.errors import DDNNError
from ddnn.modes import in_mode
from ddnn.network import DepthDynamicNetwork
from ddnn.objectives import EKD, Joint, Objective
from ddnn.optimization import make_optimizer, schedule
from ddnn.progress import EpochObserver, epoch_observers, progress_bars, quiet_lightning, shows_bar
from ddnn.run_directory import RunDirectory
from ddnn.storage import write_checkpoint

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
        self._last_images: Tensor | None = None
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
        self._last_images = images
        epoch = self.current_epoch + batch_index / len(self._batches)
        loss = self.objective(self._joint_forward(images), labels, epoch)
        for name, part in {"loss": loss.total.detach(), **loss.parts}.items():
            self._parts[name] = self._parts.get(name, 0.0) + part
        if (batch_index + 1) % FINITE_CHECK_STEPS == 0:
            self._refuse_non_finite("loss", self._parts)
        return loss.total

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means; runs after validation and before the checkpoint is written."""
        self._refuse_non_finite("loss", self._parts)
        self._check_network()
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

    @torch.no_grad()
    def _check_network(self) -> None:
        """Look at what the last update of an epoch has made, which no loss has seen yet."""
        assert self._last_images is not None
        with in_mode(self.network, training=False):
            outputs = self.network.forward_all(self._last_images)
        logits = {name: output.logits for name, output in outputs.items()}
        self._refuse_non_finite("network", {**self.network.tensors(), **logits})

    def _refuse_non_finite(self, what: str, tensors: Mapping[str, Tensor]) -> None:
        culprits = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
        if culprits:
            named = ", ".join(culprits[:5]) + (", ..." if len(culprits) > 5 else "")
            raise NonFiniteLossError(
                f"the {what} is not finite in epoch {self.current_epoch + 1} ({named}); try a smaller --lr, or --clip 1"
            )


class WholeCheckpoints(TorchCheckpointIO):
    """Never leaves half a checkpoint, as Lightning's own may where the temporary folder is another file system."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """See `lightning.fabric.plugins.io.TorchCheckpointIO`."""
        write_checkpoint(Path(path), checkpoint)


def train(config: TrainConfig, *, progress: bool = True) -> Run:
    """Train a network as configured, or go on with the run that `config.resume` names.

    Args:
        config: see `TrainConfig`.
        progress: show a progress bar (one line an epoch where there is no terminal) on standard error.

    Raises:
        DDNNError: for anything in the configuration or the data that cannot be; nothing is left then.
        NonFiniteLossError: if the loss is not finite; the run directory keeps the last good checkpoint.
        KeyboardInterrupt: for Ctrl-C, with a message that says how to go on.

    Example:
        >>> from ddnn import TrainConfig, train
        >>> run = train(TrainConfig(epochs=1, train_images=256, output=getfixture("tmp_path") / "run"), progress=False)
        >>> run.network.names
        ('resnet8', 'resnet14', 'resnet20')
    """
    directory = RunDirectory.claim(config) if config.resume is None else RunDirectory(Path(config.resume))
    if config.resume is not None:
        config = directory.resumed(config)
    device = pick_device(config.device)
    if config.precision == "16-mixed" and device.type != "cuda":
        raise DDNNError(f"precision 16-mixed needs CUDA, and the device is {device.type}; use bf16-mixed or 32-true")
    data = open_data(config, config.seed)
    network = make_network(config, data)
    for part in (data.training, data.validation, data.test):
        part(torch.device("cpu"))  # refuse what cannot be used before anything is written
    before = directory.entries()
    if config.resume is None:
        directory = directory.create(config)
    quiet_lightning()
    began = time.perf_counter()
    with _ending_well(directory, before):
        observers = [directory.append_metrics, *epoch_observers(config, progress)]
        module = DepthDynamicTraining(network, make_objective(config), data, config, observers)
        checkpoint = directory.fitting_checkpoint(module.state_dict()) if config.resume is not None else None
        _trainer(config, device, directory, progress).fit(module, ckpt_path=checkpoint, weights_only=True)
        seconds = time.perf_counter() - began
        network.eval()
        network.save(directory.network)
    return Run(network, data, directory, config, seconds)


@contextmanager
def _ending_well(directory: RunDirectory, before: frozenset[Path] | None) -> Iterator[None]:
    """Where a run breaks off, say how it goes on; remove what it has left if there is nothing to go on from."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    except BaseException as error:
        left = directory.tidy(before)
        if isinstance(error, NonFiniteLossError):
            raise NonFiniteLossError(f"{error}; {left}") from None
        if isinstance(error.__context__ if isinstance(error, SystemExit) else error, KeyboardInterrupt):
            signal.signal(signal.SIGINT, on_interrupt)  # Lightning, which exits, has switched it off
            hint = f"; go on with: ddnn train --resume {directory.path}" if directory.last_checkpoint.exists() else ""
            raise KeyboardInterrupt(f"interrupted; {left}{hint}") from None
        if "more than 1 value per channel" in str(error):
            raise DDNNError("batch norm has one value per channel; use a larger --batch_size or --image_size") from None
        raise


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
        plugins=[WholeCheckpoints()],
        callbacks=[checkpoint, *progress_bars(progress)],
        enable_progress_bar=shows_bar(progress),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=directory.path,
    )
