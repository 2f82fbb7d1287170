"""What a training run needs, made and checked before it has written anything.

Whatever can be wrong with a configuration is found here, in every process of the run, so that all of them end before
the first step.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ddnn.config import TrainConfig
from ddnn.config.ending import MEAN
from ddnn.data import Data, open_data
from ddnn.data.order import derive_seed
from ddnn.distributed.processes import Processes
from ddnn.errors import DDNNError, first_line, near
from ddnn.families.modes import in_mode
from ddnn.measuring.devices import pick_device, pick_precision
from ddnn.network import DepthDynamicNetwork
from ddnn.network.building import build
from ddnn.network.full_dropout import classifier
from ddnn.network.subnets import PrivateNorms
from ddnn.objectives import Objective, make_objective
from ddnn.runs.resuming import Resumed, resumed
from ddnn.runs.run_directory import RunDirectory
from ddnn.training.class_weights import weights_of_classes
from ddnn.training.draw import is_full_alone, never_drawn

_PARTNER_STREAM = 3  # sets the seed of a partner's initial weights apart from all others


@dataclass(frozen=True)
class Setup:
    """Everything that a run needs."""

    config: TrainConfig
    directory: RunDirectory
    data: Data
    objective: Objective
    network: DepthDynamicNetwork
    partner: DepthDynamicNetwork | None
    device: torch.device
    processes: Processes
    resumed: Resumed | None
    """What the run goes on with; None for a new one."""
    chosen: str
    """What was chosen for the device at hand, in words; empty where it is what torch does by itself."""

    @property
    def divides(self) -> bool:
        """Whether each process has a share of the weights only."""
        return self.config.strategy == "fsdp" and self.processes.count > 1


def prepare(
    config: TrainConfig,
    network: DepthDynamicNetwork | None,
    data: Data | None,
    processes: Processes,
) -> Setup:
    """Everything that a run needs; see `ddnn.train` for the arguments.

    Raises:
        DDNNError: for anything in the configuration or the data that cannot be.
    """
    directory = RunDirectory.claim(config) if config.resume is None else RunDirectory(Path(config.resume))
    going_on = None
    if config.resume is not None:
        going_on = resumed(directory, config)
        config = going_on.config
    device = _device(config, processes)
    precision, why = pick_precision(config.precision, device)
    chosen = f"precision {precision}: {why}" if config.precision == "auto" and precision != "32-true" else ""
    config = replace(config, precision=precision)
    data = open_data(config, config.seed, quiet=not processes.first) if data is None else data
    objective = make_objective(config).weighing(_class_weights(config, data, device))
    network, partner = _networks(config, data, network, objective.has_partner)
    setup = Setup(config, directory, data, objective, network, partner, device, processes, going_on, chosen)
    _refuse_what_cannot_be(setup)
    return setup


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


def _refuse_what_cannot_be(setup: Setup) -> None:
    """Raise a DDNNError for what only the network and the data can tell, before anything is written."""
    config, network, data, processes = setup.config, setup.network, setup.data, setup.processes
    for name in config.named_weights:
        if name not in network:
            raise DDNNError(f"loss_weights names {name!r}, which is no net here; {near(name, network.names)}")
    _refuse_unwatched(setup)
    for side in config.subnet_sizes or ():
        if side >= min(data.size):
            raise DDNNError(f"subnet_sizes has {side} pixels a side, and the images have {min(data.size)}: give less")
    sides = {*(config.augment.sizes or {}).values(), *(config.subnet_sizes or ())}
    for size in sorted({data.size, *((side, side) for side in sides)}):
        _try_size(network, size)
    if config.full_dropout:
        classifier(network)
    if config.activation_checkpointing:
        network.check_recompute()
    if config.fork_gradients != "sum":
        network.check_forks()
    setup.directory.check_room(_bytes_needed(setup))
    batches = data.training(torch.device("cpu"), share=processes.share, parts=config.accumulate)
    _refuse_no_step_for_subnets(config, len(batches) // config.accumulate)
    data.test(torch.device("cpu"))
    held = data.validation(torch.device("cpu"), share=processes.share)
    if held is not None and len(held) == 0:
        raise DDNNError(f"there are fewer validation images than processes, {processes.count}; give --validation 0")


def _class_weights(config: TrainConfig, data: Data, device: torch.device) -> torch.Tensor | None:
    """Where the labels are; None without."""
    if config.class_weights == "none":
        return None
    weights = weights_of_classes(config.class_weights, data.spec.class_names, data.class_counts)
    return None if weights is None else torch.tensor(weights, device=device)


def _refuse_unwatched(setup: Setup) -> None:
    """Raise a DDNNError if epochs are to be compared by what is not measured after each."""
    config, names = setup.config, setup.network.names
    if config.keep == "last" and config.patience is None:
        return
    watched = [name for name in names if name not in never_drawn(names, setup.objective.draw)]
    if config.watched not in (MEAN, *watched):
        raise DDNNError(
            f"keep names {config.watched!r}, which is no net that is trained here; {near(config.watched, watched)}"
        )
    if not setup.data.has_validation:
        raise DDNNError(
            f"{'patience' if config.keep == 'last' else 'keep'} compares epochs by the validation images, and none are "
            "held out; give a --validation above 0, or leave it out"
        )


def _refuse_no_step_for_subnets(config: TrainConfig, steps: int) -> None:
    """Raise a DDNNError if a run of so many steps an epoch is over before the sub-nets begin."""
    steps = max(1, steps if config.limit is None else min(steps, config.limit))
    if is_full_alone(config.epochs - 1 / steps, config.epochs, config.subnets_from):
        raise DDNNError(
            f"subnets_from {config.subnets_from} leaves sub-nets none of the {steps * config.epochs} steps; give a "
            "smaller share, or train for longer"
        )


@torch.no_grad()
def _try_size(network: DepthDynamicNetwork, size: tuple[int, int]) -> None:
    """Refuse images that the network cannot take: too small to be halved so often, or not of the size it is for."""
    with in_mode(network, training=False):
        try:
            network(torch.zeros(1, network.in_channels, *size, device=next(network.parameters()).device))
        except (RuntimeError, AssertionError, ValueError, IndexError) as error:
            raise DDNNError(
                f"{network.full} does not take images of {size[0]}x{size[1]} ({first_line(error)}); give another "
                "--image_size, or other --augment.sizes or --subnet_sizes"
            ) from None


def _bytes_needed(setup: Setup) -> int:
    """Of the disk, about: one checkpoint more than are kept, and the network."""
    config, tensors = setup.config, setup.network.tensors().values()
    network = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    copies = 1 + (2 if config.optimizer == "adamw" else config.momentum > 0)
    copies += (
        (config.keep != "last") + (config.ema is not None) + setup.objective.learns_from_average(setup.network.names)
    )
    copies *= 1 if setup.partner is None else 2
    return network * (copies * (config.keep_checkpoints + 1) + 1)


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
    """A network with norms private to the sub-nets that the configuration names, or else to those that the objective
    wants."""
    private: PrivateNorms | None = config.private_norms
    if private is None:
        private = "shallowest" if make_objective(config).private_norms else False
    torch.manual_seed(seed)
    network = build(
        config.full,
        config.subnet_depths,
        num_classes=data.spec.num_classes,
        in_channels=data.spec.channels,
        weights=config.weights,
        private_norms=private,
        zero_init=config.zero_init,
        **config.model_options,
    )
    network.data_spec = data.spec
    return network
