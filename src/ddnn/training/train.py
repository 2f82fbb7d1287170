"""Train a network: the one function that runs it, from a configuration to a run directory.

A run can be cut short at any moment and resumed from its last checkpoint with the same result, bit for bit on a CPU
with one process (compiled runs, `compile`, have not been compared so). What happens in a step and in an epoch is in
`ddnn.training.module`, when a run is saved in `ddnn.training.checkpoints`.
"""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy, Strategy
from torch import nn

from ddnn.config import TrainConfig
from ddnn.data import Data, Loader
from ddnn.distributed.fsdp import gather
from ddnn.distributed.processes import (
    SECONDS_TO_SPEAK,
    find_processes,
    from_first,
    is_lost_connection,
    join,
    leave_it_to_another,
    together,
)
from ddnn.distributed.synchronised_norms import synchronised
from ddnn.errors import DDNNError
from ddnn.network import DepthDynamicNetwork
from ddnn.network.full_dropout import dropout_before_classifier
from ddnn.network.loading import fill
from ddnn.network.norm_statistics import set_statistics
from ddnn.reporting.progress import say, shows_bar
from ddnn.runs.run_directory import RunDirectory
from ddnn.training.allocation import freed_memory_kept
from ddnn.training.best_epoch import BestEpoch
from ddnn.training.checkpoints import Checkpoints, WholeCheckpoints
from ddnn.training.compiler import lacks_compiler
from ddnn.training.draw import draws_all, never_drawn
from ddnn.training.epoch_loop import shorten_steps
from ddnn.training.going_on import Clock, callbacks_of, checkpoint_of
from ddnn.training.interrupts import EndedEarly, Interruptible, Terminated, Termination
from ddnn.training.module import DepthDynamicTraining, NonFiniteLossError
from ddnn.training.progress import epoch_observers, progress_bars, quiet_lightning
from ddnn.training.run import Run, scored
from ddnn.training.setup import Setup, prepare
from ddnn.training.unprofiled import Unprofiled
from ddnn_runtime.untrusted import shown


def train(
    config: TrainConfig,
    *,
    network: DepthDynamicNetwork | None = None,
    data: Data | None = None,
    progress: bool = True,
    score: bool = True,
) -> Run:
    """Train a network as configured, or go on with the run that `config.resume` names, and score it on test images.

    Where torchrun or srun has started several processes, each of them calls this, and they train together; all come
    back with the same network, and the first has written the run directory.

    Args:
        config: see `TrainConfig`.
        network: what to train, such as one of `ddnn.from_model`, in place of a fresh one; its nets go before those of
            the configuration. To resume such a run, give the network again: its weights are replaced.
        data: what to train on, in place of what the configuration names; it must be that data set.
        progress: show a progress bar (one line an epoch where there is no terminal) on standard error.
        score: score every net on the test images at the end, and write that into the run directory as results.json.

    Returns:
        The run, whose path is that of its directory: other functions take it as it is.

    Raises:
        DDNNError: for anything in the configuration or the data that cannot be; nothing is left then.
        NonFiniteLossError: if the loss is not finite; the run directory keeps the last good checkpoint.
        Terminated: for SIGTERM (in the main thread), once what there is to save is saved.
        KeyboardInterrupt: for Ctrl-C, with a message that says how to go on.

    Example:
        >>> from ddnn import TrainConfig, train
        >>> run = train(TrainConfig(epochs=1, train_images=256, output=getfixture("tmp_path") / "run"), progress=False)
        >>> run.network.names
        ('resnet8', 'resnet14', 'resnet20')
        >>> list(run.scores) == list(run.network.names), run.directory.results.exists()
        (True, True)
    """
    _check_arguments(config, network, data)
    termination = Termination()
    left = "nothing was kept" if config.resume is None else f"go on with: ddnn train --resume {config.resume}"
    with termination.noted(left):
        processes = find_processes()
        join(processes)
        with together():
            setup = prepare(config, network, data, processes)
        run = _run(setup, progress, termination)
    return scored(run) if score else run


def _check_arguments(config: TrainConfig, network: DepthDynamicNetwork | None, data: Data | None) -> None:
    for what, given, kind, where in (
        ("config", config, TrainConfig, "ddnn.TrainConfig"),
        ("network", network, DepthDynamicNetwork | None, "network that ddnn.build, from_model or load made"),
        ("data", data, Data | None, "data set that ddnn.data.open_data opened"),
    ):
        if not isinstance(given, kind):
            raise DDNNError(f"{what} must be a {where}, not {shown(given)}")


def _run(setup: Setup, progress: bool, termination: Termination) -> Run:
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
    _say(setup, progress, setup.chosen)
    clock, best = Clock(directory), BestEpoch(config)
    with _ending_well(directory, before, processes.first), ExitStack() as meanwhile:
        observers = [directory.append_metrics, *epoch_observers(config, progress)]
        trained = deepcopy(network) if setup.divides else network
        module = DepthDynamicTraining(trained, setup.objective, data, config, observers, setup.partner)
        with together():
            checkpoint = setup.resumed and checkpoint_of(directory, setup.resumed, module, processes, clock)
        module.train()  # also a network that was given in evaluation mode, as `ddnn.load` gives it
        meanwhile.enter_context(_memory_format(module, config.channels_last))
        if device.type == "cpu":
            meanwhile.enter_context(freed_memory_kept())
        meanwhile.enter_context(dropout_before_classifier(trained, config.full_dropout))
        if config.sync_norm and processes.count > 1:
            meanwhile.enter_context(synchronised(module))
        trainer = _trainer(setup, directory, progress, termination, [best, clock, *callbacks_of(setup.resumed)])
        trainer.fit(module, ckpt_path=checkpoint, weights_only=True)
        meanwhile.close()
        if best.tensors or module.result is not network:
            fill(network, best.tensors or gather(module.result))
        _set_own_statistics(network.to(device), _without_statistics(setup), data.for_norms(device))
        seconds = clock.seconds
        network.eval()
        with together():
            if processes.first:
                network.save(directory.network)
    _say(setup, progress, best.verdict(config.epochs))
    return Run(network, data, directory, config, seconds, device, processes, validation=best.to_json())


def _say(setup: Setup, progress: bool, text: str) -> None:
    if text and progress and setup.processes.first:
        say(f"ddnn: {text}")


@contextmanager
def _ending_well(directory: RunDirectory, before: frozenset[Path] | None, first: bool) -> Iterator[None]:
    """Where a run breaks off, say how it goes on; the first process removes what it has left if there is nothing to go
    on from."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except BaseException as error:
        interrupted = isinstance(error.__context__ if isinstance(error, SystemExit) else error, KeyboardInterrupt)
        told = isinstance(error, Terminated | EndedEarly)
        if not first and (interrupted or told or isinstance(error, NonFiniteLossError)):  # as in all processes
            leave_it_to_another(130 if interrupted else getattr(error, "status", 1))
        if is_lost_connection(error):
            time.sleep(SECONDS_TO_SPEAK)  # whoever knows more may say it first, and the launcher end this one
            raise DDNNError(f"another process has ended; go on with: ddnn train --resume {directory.path}") from None
        left = directory.tidy(before) if first else ""
        hint = f"; go on with: ddnn train --resume {directory.path}" if directory.last_checkpoint.exists() else ""
        if isinstance(error, NonFiniteLossError):
            raise NonFiniteLossError(f"{error}; {left}") from None
        if told:
            raise Terminated(f"{error}; {left}{hint}") from None
        if isinstance(error, OSError):
            where = f"{error.filename}: " if error.filename else ""
            raise DDNNError(f"{where}{error.strerror or error}; {left}{hint}") from None
        if interrupted:
            raise KeyboardInterrupt(f"interrupted; {left}{hint}") from None
        if isinstance(error, ValueError) and "more than 1 value per channel" in str(error):  # torch has no type for it
            raise DDNNError("batch norm has one value per channel; use a larger --batch_size or --image_size") from None
        if lacks_compiler(error):
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


def _without_statistics(setup: Setup) -> tuple[str, ...]:
    """The nets whose running statistics are not those of test images: what no step has trained; and where sub-nets have
    a view of their own, all, for what nets have in common has seen every view. The full net comes first then."""
    names = setup.network.names
    if setup.config.has_views and len(names) > 1:
        return names[::-1]
    return never_drawn(names, setup.objective.draw)


def _set_own_statistics(network: DepthDynamicNetwork, wrong: tuple[str, ...], batches: Loader) -> None:
    """Set the running statistics of these nets, of each what is not right already, on training images."""
    right = {module for name in network.names if name not in wrong for module in network[name].modules()}
    for name in wrong:
        set_statistics(network[name], right, batches)
        right |= set(network[name].modules())


def _trainer(
    setup: Setup, directory: RunDirectory, progress: bool, termination: Termination, callbacks: Sequence[Callback]
) -> Trainer:
    config, processes = setup.config, setup.processes
    bar = shows_bar(progress) and processes.first
    trainer = Trainer(
        accelerator="gpu" if setup.device.type == "cuda" else setup.device.type,
        devices=processes.local_count,
        num_nodes=processes.nodes,
        strategy=_strategy(setup),
        precision=config.precision,  # type: ignore[arg-type]  # no longer auto: `prepare` has chosen
        max_epochs=config.epochs,
        limit_train_batches=None if config.limit is None else config.limit * config.accumulate,
        limit_val_batches=config.limit,
        accumulate_grad_batches=config.accumulate,
        gradient_clip_val=config.clip,
        logger=TensorBoardLogger(directory.path, name="", version=directory.tensorboard.name),
        plugins=[WholeCheckpoints(config.keep_checkpoints), processes.environment],
        callbacks=[
            *callbacks,
            Checkpoints(directory, config, termination),
            Interruptible(termination),
            *progress_bars(bar),
        ],
        enable_progress_bar=bar,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        profiler=Unprofiled(),
        use_distributed_sampler=False,
        default_root_dir=directory.path,
    )
    shorten_steps(trainer)
    return trainer


def _strategy(setup: Setup) -> Strategy | str:
    """How several processes train together: gradients are averaged, and each has the whole network or a share of it."""
    if setup.divides:
        return ModelParallelStrategy(setup.processes.count, 1, save_distributed_checkpoint=False)
    if setup.processes.count == 1:
        return "auto"
    return DDPStrategy(
        broadcast_buffers=False,  # running statistics are averaged instead, see `average_statistics`
        find_unused_parameters=setup.config.alternate
        or not draws_all(
            setup.network.names, setup.config.subnets_per_step, setup.objective.draw, setup.config.subnets_from
        ),
        gradient_as_bucket_view=True,
    )
