"""How long each method of a comparison trains, so that all have had as much: of epochs, of steps, or of arithmetic.

A network of three nets costs less to train than the three nets one by one, for it computes what they share once. At
equal epochs that is a saving; at equal compute it is time to train for longer.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from ddnn.comparison.methods import Epochs, Task, config_of
from ddnn.config import CompareConfig, Method, TrainConfig
from ddnn.network import DepthDynamicNetwork
from ddnn.network.building import build
from ddnn.objectives import Joint, Objective, make_objective
from ddnn.training.averaged_teacher import AveragedTeacher
from ddnn.training.draw import Lesson
from ddnn.training.lessons import StepPlan, plan_step
from ddnn.training.step import TrainingStep

_BATCH = 2  # batch norm needs two; what is counted grows in proportion
_SAMPLED = 64  # steps, spread over the run, of which the mean cost is taken

Shape = tuple[int, int, int]


def epochs_of(config: CompareConfig, shape: Shape, num_classes: int) -> Epochs:
    """How many epochs each method trains for.

    A method whose runs cost c_m an epoch, where training all nets alone costs c_alone, trains for c_alone / c_m times
    the configured epochs. An epoch costs steps (budget `steps`) or multiply-accumulates (`compute`), forward and
    backward, what nets share counted once; a pruned net's fine-tuning counts, and so do a teacher and a partner.

    Args:
        config: of the comparison.
        shape: of an image: (channels, height, width).
        num_classes: of the images.
    """
    network = meta_network(config.train, shape[0], num_classes)

    @cache
    def alone(budget: str) -> Mapping[str, float]:
        if budget == "steps":
            return dict.fromkeys(network.names, 1.0)
        return {name: step_macs(network, Joint(), shape, [of_nets(name)]) for name in network.names}

    def length(method: Method) -> float:
        return 1.0 if method.budget == "epochs" else _length(method, config, alone(method.budget), shape, num_classes)

    return {method: max(1, round(length(method) * config.train.epochs)) for method in config.method_list}


def _length(method: Method, config: CompareConfig, alone: Mapping[str, float], shape: Shape, num_classes: int) -> float:
    """How many times the configured epochs, by what an epoch of each net alone costs."""
    *subnets, full = alone
    if method.base == "pruned":
        own = alone[full] + config.finetune * sum(alone[name] for name in subnets)
    elif method.budget == "steps":
        own = config.train.batch_size / method.applied(config.train).batch_size
    else:
        own = _joint_macs(config_of(Task(str(method), seed=0), config), shape, num_classes)
    return sum(alone.values()) / own


def _joint_macs(train: TrainConfig, shape: Shape, num_classes: int) -> float:
    """What an image costs in a mean step of a run that trains all nets."""
    network, objective = meta_network(train, shape[0], num_classes), make_objective(train)
    places = [divmod(number * train.epochs + number % 2, _SAMPLED) for number in range(_SAMPLED)]
    plans = [plan_step(network.names, train, objective, epoch, step, _SAMPLED) for epoch, step in places]
    return step_macs(network, objective, shape, plans)


def step_macs(network: DepthDynamicNetwork, objective: Objective, shape: Shape, steps: Sequence[StepPlan]) -> float:
    """Multiply-accumulates for one image in a training step, forward and backward, the mean over steps.

    What is counted are convolutions and matrix products, by torch's own counter as they run: a gradient that is not
    needed is not counted, and what nets have in common is counted once.

    Args:
        network: on the meta device, where nothing is computed.
        objective: what a step minimises.
        shape: of an image.
        steps: what each of some steps does.

    Example:
        >>> import torch, ddnn
        >>> with torch.device("meta"):
        ...     net = ddnn.build("resnet20", subnets=["resnet8"], num_classes=10)
        >>> both = step_macs(net, ddnn.Joint(), (3, 32, 32), [of_nets(*net.names)])
        >>> apart = [step_macs(net, ddnn.Joint(), (3, 32, 32), [of_nets(name)]) for name in net.names]
        >>> round(both / sum(apart), 2)
        0.9
    """

    @cache
    def count(lesson: Lesson, side: int | None) -> int:
        smaller = shape if side is None else (shape[0], side, side)
        return _count(network, objective, shape if lesson.teachers is None else smaller, lesson)

    counts = [count(lesson, plan.side) for plan in steps for lesson in plan.lessons]
    return sum(counts) / len(steps) / _BATCH


def of_nets(*names: str) -> StepPlan:
    """A step that trains these nets together."""
    return StepPlan((Lesson(names),))


def _count(network: DepthDynamicNetwork, objective: Objective, shape: Shape, lesson: Lesson) -> int:
    partner = network if objective.has_partner else None  # which costs as much
    teacher = AveragedTeacher(network) if objective.learns_from_average(network.names) else None
    step = TrainingStep(network.train(), objective, partner=partner, teacher=teacher)
    with torch.device("meta"):
        images, labels, epoch = torch.zeros(_BATCH, *shape), torch.zeros(_BATCH, dtype=torch.int64), torch.zeros(())
    counter = FlopCounterMode(display=False)
    with counter:
        step(images, labels, epoch, *lesson).total.backward()
    network.zero_grad()
    return counter.get_total_flops() // 2


def meta_network(train: TrainConfig, channels: int, num_classes: int) -> DepthDynamicNetwork:
    """The network of a configuration without a weight being made."""
    with torch.device("meta"):
        return build(
            train.full, train.subnet_depths, num_classes=num_classes, in_channels=channels, **train.model_options
        )
