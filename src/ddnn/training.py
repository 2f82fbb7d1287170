"""Train a network: the one function that runs it, from a configuration to a run directory.

A run can be cut short at any moment and resumed from its last whole epoch with the same result, bit for bit on a CPU
(compiled runs, `compile`, have not been compared so). What happens in a step and in an epoch is in
`ddnn.training_module`.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import nn

from ddnn.building import build
from ddnn.calibration import calibrate
from ddnn.config import TrainConfig
from ddnn.data import Data, Loader, open_data
from ddnn.data.order import derive_seed
from ddnn.devices import pick_device
from ddnn.errors import DDNNError, near
from ddnn.interrupts import Interruptible
from ddnn.network import DepthDynamicNetwork
from ddnn.objectives import make_objective
from ddnn.progress import epoch_observers, progress_bars, quiet_lightning, shows_bar
from ddnn.run_directory import RunDirectory
from ddnn.storage import write_checkpoint
from ddnn.subnet_draw import never_drawn
from ddnn.training_module import DepthDynamicTraining, NonFiniteLossError

_PARTNER_STREAM = 3  # sets the seed of a partner's initial weights apart from all others


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


class WholeCheckpoints(TorchCheckpointIO):
    """Never leaves half a checkpoint, as Lightning's own may where the temporary folder is another file system."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """See `lightning.fabric.plugins.io.TorchCheckpointIO`."""
        write_checkpoint(Path(path), checkpoint)


def train(
    config: TrainConfig, *, network: DepthDynamicNetwork | None = None, data: Data | None = None, progress: bool = True
) -> Run:
    """Train a network as configured, or go on with the run that `config.resume` names.

    Args:
        config: see `TrainConfig`.
        network: what to train, such as one of `ddnn.from_model`, in place of a fresh one; its nets go before those of
            the configuration. To resume such a run, give the network again: its weights are replaced.
        data: what to train on, in place of what the configuration names; it must be that data set.
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
    data = open_data(config, config.seed) if data is None else data
    objective = make_objective(config)
    network, partner = _networks(config, data, network, objective.has_partner)
    _refuse_what_cannot_be(config, network, data)
    before = directory.entries()
    if config.resume is None:
        directory = directory.create(config)
    quiet_lightning()
    began = time.perf_counter()
    with _ending_well(directory, before):
        observers = [directory.append_metrics, *epoch_observers(config, progress)]
        module = DepthDynamicTraining(network, objective, data, config, observers, partner)
        checkpoint = directory.fitting_checkpoint(module.state_dict()) if config.resume is not None else None
        module.train()  # also a network that was given in evaluation mode, as `ddnn.load` gives it
        with _memory_format(module, config.channels_last):
            _trainer(config, device, directory, progress).fit(module, ckpt_path=checkpoint, weights_only=True)
        _calibrate(network.to(device), never_drawn(network.names, objective.draw), data.training(device))
        seconds = time.perf_counter() - began
        network.eval()
        network.save(directory.network)
    return Run(network, data, directory, config, seconds)


def _refuse_what_cannot_be(config: TrainConfig, network: DepthDynamicNetwork, data: Data) -> None:
    """Raise a DDNNError for what only the network and the data can tell, before anything is written."""
    for name in config.loss_weights or {}:
        if name not in network:
            raise DDNNError(f"loss_weights names {name!r}, which is no net here; {near(name, network.names)}")
    if config.activation_checkpointing:
        network.check_recompute()
    for part in (data.training, data.validation, data.test):
        part(torch.device("cpu"))


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
            hint = f"; go on with: ddnn train --resume {directory.path}" if directory.last_checkpoint.exists() else ""
            raise KeyboardInterrupt(f"interrupted; {left}{hint}") from None
        if "more than 1 value per channel" in str(error):
            raise DDNNError("batch norm has one value per channel; use a larger --batch_size or --image_size") from None
        if "InvalidCxxCompiler" in str(error):  # torch's name for it, whichever error of torch.compile wraps it
            raise DDNNError("--compile needs a C++ compiler, such as g++; install one or leave --compile out") from None
        raise
    finally:  # `Interruptible` has put itself before it, and Lightning, when interrupted, has switched it off
        if on_interrupt is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, on_interrupt)


@contextmanager
def _memory_format(module: nn.Module, channels_last: bool) -> Iterator[None]:
    """Keep the weights in channels-last format for a while, where that is wanted. A trained network has torch's usual
    one, as those who read its tensors may expect."""
    if channels_last:
        module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # in torch's documentation alone
    yield
    if channels_last:
        module.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def make_network(config: TrainConfig, data: Data) -> DepthDynamicNetwork:
    """The network of a configuration, for the classes and channels of the data."""
    return _fresh(config, data, config.seed)


def _networks(
    config: TrainConfig, data: Data, given: DepthDynamicNetwork | None, has_partner: bool
) -> tuple[DepthDynamicNetwork, DepthDynamicNetwork | None]:
    """What is trained, and its partner, for objectives that have one."""
    partner = None
    if has_partner:
        if given is not None:
            raise DDNNError(f"objective {config.objective} makes its two networks itself; leave network out")
        partner = _fresh(config, data, derive_seed(config.seed, _PARTNER_STREAM))
    if given is None:
        return make_network(config, data), partner
    if (given.num_classes, given.in_channels) != (data.spec.num_classes, data.spec.channels):
        raise DDNNError(
            f"the network has {given.num_classes} classes and {given.in_channels} channels, and {config.data} "
            f"{data.spec.num_classes} and {data.spec.channels}; give a network for this data"
        )
    given.data_spec = data.spec
    return given, partner


def _fresh(config: TrainConfig, data: Data, seed: int) -> DepthDynamicNetwork:
    torch.manual_seed(seed)
    network = build(
        config.full,
        config.subnet_depths,
        num_classes=data.spec.num_classes,
        in_channels=data.spec.channels,
        weights=config.weights,
        private_norms=_private_norms(config),
        **config.model_options,
    )
    network.data_spec = data.spec
    return network


def _private_norms(config: TrainConfig) -> bool | list[str]:
    """Which sub-nets have norm weights of their own."""
    if config.private_norms is not None:
        return config.private_norms
    if not make_objective(config).private_norms:
        return False
    with torch.device("meta"):
        names = build(config.full, config.subnet_depths, num_classes=2, **config.model_options).names
    return list(names[:-1][:1])


def _calibrate(network: DepthDynamicNetwork, untrained: tuple[str, ...], batches: Loader) -> None:
    """Set the running statistics of nets that no step has trained, on training images as they were in the training."""
    trained = {module for name in network.names if name not in untrained for module in network[name].modules()}
    for name in untrained:
        calibrate(network[name], trained, batches)


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
        callbacks=[checkpoint, Interruptible(), *progress_bars(progress)],
        enable_progress_bar=shows_bar(progress),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=directory.path,
    )
