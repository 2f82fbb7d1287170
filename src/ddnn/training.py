"""Train a network: the one function that runs it, from a configuration to a run directory.

A run can be cut short at any moment and resumed from its last checkpoint with the same result, bit for bit on a CPU
with one process (compiled runs, `compile`, have not been compared so). What happens in a step and in an epoch is in
`ddnn.training_module`, when a run is saved in `ddnn.checkpoints`.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import nn

from ddnn.building import build, fill
from ddnn.calibration import calibrate
from ddnn.checkpoints import Checkpoints, WholeCheckpoints
from ddnn.config import TrainConfig
from ddnn.data import Data, Loader, open_data
from ddnn.data.order import derive_seed
from ddnn.devices import pick_device
from ddnn.errors import DDNNError, near
from ddnn.interrupts import Interruptible, Terminated, Termination
from ddnn.network import DepthDynamicNetwork
from ddnn.objectives import Objective, make_objective
from ddnn.processes import (
    SECONDS_TO_SPEAK,
    Processes,
    find_processes,
    from_first,
    is_lost_connection,
    join,
    leave_it_to_another,
    together,
)
from ddnn.progress import epoch_observers, progress_bars, quiet_lightning, shows_bar
from ddnn.run_directory import RunDirectory
from ddnn.sharded import gather
from ddnn.subnet_draw import draws_all, never_drawn
from ddnn.synchronised_norms import synchronised
from ddnn.training_module import PROCESSES, DepthDynamicTraining, NonFiniteLossError

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
        device: that this process trained on.
        processes: that trained together.
    """

    network: DepthDynamicNetwork
    data: Data
    directory: RunDirectory
    config: TrainConfig
    seconds: float
    device: torch.device
    processes: Processes


def train(
    config: TrainConfig, *, network: DepthDynamicNetwork | None = None, data: Data | None = None, progress: bool = True
) -> Run:
    """Train a network as configured, or go on with the run that `config.resume` names.

    Where torchrun or srun has started several processes, each of them calls this, and they train together; all come
    back with the same network, and the first has written the run directory.

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
    processes = find_processes()
    join(processes)
    with together():
        setup = _prepare(config, network, data, processes)
    return _run(setup, progress)


@dataclass(frozen=True)
class _Setup:
    """Everything that a run needs, checked, before it has written anything."""

    config: TrainConfig
    directory: RunDirectory
    data: Data
    objective: Objective
    network: DepthDynamicNetwork
    partner: DepthDynamicNetwork | None
    device: torch.device
    processes: Processes


def _device(config: TrainConfig, processes: Processes) -> torch.device:
    """What this process trains on."""
    asked = config.devices
    if asked is not None and asked != processes.local_count:
        raise DDNNError(
            f"devices is {asked}, and {processes.local_count} processes were started here; start as many as there are "
            f"devices: ddnn train --devices {asked}, or torchrun --nproc-per-node {asked} -m ddnn train"
        )
    device = pick_device(config.device)
    if processes.local_count == 1 or device.type == "cpu":
        return device
    if device.type != "cuda" or torch.cuda.device_count() < processes.local_count:
        there = torch.cuda.device_count() if device.type == "cuda" else 1
        raise DDNNError(
            f"{processes.local_count} processes need as many {device.type} devices, and there are {there} here; start "
            "fewer, or give --device cpu"
        )
    torch.cuda.set_device(processes.local_rank)
    return torch.device("cuda", processes.local_rank)


def _prepare(
    config: TrainConfig,
    network: DepthDynamicNetwork | None,
    data: Data | None,
    processes: Processes,
) -> _Setup:
    directory = RunDirectory.claim(config) if config.resume is None else RunDirectory(Path(config.resume))
    if config.resume is not None:
        config = directory.resumed(config)
    device = _device(config, processes)
    if config.precision == "16-mixed" and device.type != "cuda":
        raise DDNNError(f"precision 16-mixed needs CUDA, and the device is {device.type}; use bf16-mixed or 32-true")
    data = open_data(config, config.seed) if data is None else data
    objective = make_objective(config)
    network, partner = _networks(config, data, network, objective.has_partner)
    setup = _Setup(config, directory, data, objective, network, partner, device, processes)
    _refuse_what_cannot_be(setup)
    return setup


def _run(setup: _Setup, progress: bool) -> Run:
    config, network, data, device, processes = (
        setup.config, setup.network, setup.data, setup.device, setup.processes,
    )  # fmt: skip
    directory = setup.directory
    before = directory.entries()
    with together():
        if config.resume is None and processes.first:
            directory = directory.create(config)
    directory = from_first(directory)
    quiet_lightning()
    began = time.perf_counter()
    with _ending_well(directory, before, processes.first), ExitStack() as meanwhile:
        observers = [directory.append_metrics, *epoch_observers(config, progress)]
        trained = deepcopy(network) if _divides(setup) else network
        module = DepthDynamicTraining(trained, setup.objective, data, config, observers, setup.partner)
        with together():
            checkpoint = _checkpoint(directory, config, module, processes)
        module.train()  # also a network that was given in evaluation mode, as `ddnn.load` gives it
        meanwhile.enter_context(_memory_format(module, config.channels_last))
        if config.sync_norm and processes.count > 1:
            meanwhile.enter_context(synchronised(module))
        trainer = _trainer(setup, directory, progress)
        trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
        meanwhile.close()
        if module.result is not network:
            fill(network, gather(module.result))
        _calibrate(network.to(device), never_drawn(network.names, setup.objective.draw), data.training(device))
        seconds = time.perf_counter() - began
        network.eval()
        with together():
            if processes.first:
                network.save(directory.network)
    return Run(network, data, directory, config, seconds, device, processes)


def _refuse_what_cannot_be(setup: _Setup) -> None:
    """Raise a DDNNError for what only the network and the data can tell, before anything is written."""
    config, network, data, processes = setup.config, setup.network, setup.data, setup.processes
    for name in config.loss_weights or {}:
        if name not in network:
            raise DDNNError(f"loss_weights names {name!r}, which is no net here; {near(name, network.names)}")
    if config.activation_checkpointing:
        network.check_recompute()
    setup.directory.check_room(_bytes_needed(setup))
    data.training(torch.device("cpu"), shard=processes.shard, parts=config.accumulate)
    data.test(torch.device("cpu"))
    held = data.validation(torch.device("cpu"), shard=processes.shard)
    if held is not None and len(held) == 0:
        raise DDNNError(f"there are fewer validation images than processes, {processes.count}; give --validation 0")


def _bytes_needed(setup: _Setup) -> int:
    """Of the disk, about: one checkpoint more than are kept, and the network."""
    config, tensors = setup.config, setup.network.tensors().values()
    network = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    copies = 1 + (2 if config.optimizer == "adamw" else config.momentum > 0)
    copies += (config.ema is not None) + (setup.objective.teacher_decay is not None)
    copies *= 1 if setup.partner is None else 2
    return network * (copies * (config.keep_checkpoints + 1) + 1)


@contextmanager
def _ending_well(directory: RunDirectory, before: frozenset[Path] | None, first: bool) -> Iterator[None]:
    """Where a run breaks off, say how it goes on; the first process removes what it has left if there is nothing to go
    on from."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error.__context__ if isinstance(error, SystemExit) else error, KeyboardInterrupt)
        if not first and (interrupted or isinstance(error, NonFiniteLossError | Terminated)):  # as in all processes
            leave_it_to_another(130 if interrupted else getattr(error, "status", 1))
        if is_lost_connection(error):
            time.sleep(SECONDS_TO_SPEAK)  # whoever knows more may say it first, and the launcher end this one
            raise DDNNError(f"another process has ended; go on with: ddnn train --resume {directory.path}") from None
        left = directory.tidy(before) if first else ""
        hint = f"; go on with: ddnn train --resume {directory.path}" if directory.last_checkpoint.exists() else ""
        if isinstance(error, NonFiniteLossError):
            raise NonFiniteLossError(f"{error}; {left}") from None
        if isinstance(error, Terminated):
            raise Terminated(f"{error if hint else 'ended by SIGTERM'}; {left}{hint}") from None
        if isinstance(error, OSError):
            raise DDNNError(f"{error.strerror or error}; {left}{hint}") from None
        if interrupted:
            raise KeyboardInterrupt(f"interrupted; {left}{hint}") from None
        if "more than 1 value per channel" in str(error):
            raise DDNNError("batch norm has one value per channel; use a larger --batch_size or --image_size") from None
        if "InvalidCxxCompiler" in str(error):  # torch's name for it, whichever error of torch.compile wraps it
            raise DDNNError("--compile needs a C++ compiler, such as g++; install one or leave --compile out") from None
        raise
    finally:  # `Interruptible` has put itself before it, and Lightning, when interrupted, has switched it off
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                if handler is not None:
                    signal.signal(number, handler)


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


def _trainer(setup: _Setup, directory: RunDirectory, progress: bool) -> Trainer:
    config, processes = setup.config, setup.processes
    termination = Termination()
    bar = shows_bar(progress) and processes.first
    return Trainer(
        accelerator="gpu" if setup.device.type == "cuda" else setup.device.type,
        devices=processes.local_count,
        num_nodes=processes.nodes,
        strategy=_strategy(setup),
        precision=config.precision,
        max_epochs=config.epochs,
        limit_train_batches=None if config.limit is None else config.limit * config.accumulate,
        limit_val_batches=config.limit,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip,
        logger=TensorBoardLogger(directory.path, name="", version="tensorboard"),
        plugins=[WholeCheckpoints(config.keep_checkpoints), processes.environment],
        callbacks=[
            Checkpoints(directory, config, termination),
            Interruptible(termination),
            *progress_bars(bar),
        ],
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        default_root_dir=directory.path,
    )


def _checkpoint(
    directory: RunDirectory, config: TrainConfig, module: DepthDynamicTraining, processes: Processes
) -> Path | None:
    """What to go on from; None for a new run, or one that had come to no checkpoint."""
    if config.resume is None:
        return None
    path = directory.good_checkpoint()
    if path is None:
        return None
    before = directory.read_checkpoint(path, module.state_dict()).get(PROCESSES, 1)
    if before != processes.count and processes.first:
        print(
            f"ddnn: going on with {processes.count} process{'es' * (processes.count > 1)} instead of {before}: the "
            "result is as good as it would have been, but not the same number for number",
            file=sys.stderr,
        )
    return path


def _divides(setup: _Setup) -> bool:
    """Whether each process has a share of the weights only."""
    return setup.config.strategy == "fsdp" and setup.processes.count > 1


def _strategy(setup: _Setup) -> Strategy | str:
    """How several processes train together: gradients are averaged, and each has the whole network or a share of it."""
    if _divides(setup):
        return ModelParallelStrategy(setup.processes.count, 1, save_distributed_checkpoint=False)
    if setup.processes.count == 1:
        return "auto"
    return DDPStrategy(
        broadcast_buffers=False,  # running statistics are averaged instead, see `average_statistics`
        find_unused_parameters=not draws_all(setup.network.names, setup.config.subnets_per_step, setup.objective.draw),
        gradient_as_bucket_view=True,
    )
