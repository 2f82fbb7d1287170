"""What a training step does: which nets learn from which images, a pure function of the configuration and the step.

So a resumed run is the same run, all processes do the same, and what a run costs can be counted without running it.
"""

from typing import NamedTuple

from ddnn.config import TrainConfig
from ddnn.objectives import Objective
from ddnn.training.draw import Lesson, alternating, draw_nets, is_full_alone
from ddnn.training.views import draw_side


class StepPlan(NamedTuple):
    """The lessons of a step; their losses add up.

    Args:
        lessons: one for all nets; or one for the full net and one for its sub-nets; or one of these two.
        side: how large sub-nets see the images, in pixels; None means as they are.
    """

    lessons: tuple[Lesson, ...]
    side: int | None = None


def plan_step(
    names: tuple[str, ...], config: TrainConfig, objective: Objective, epoch: int, step: int, steps_per_epoch: int
) -> StepPlan:
    """What a step does.

    Args:
        names: of all nets, the full net last.
        config: of the run.
        objective: what it minimises.
        epoch: counted from 0.
        step: of that epoch, counted from 0.
        steps_per_epoch: how many there are.

    Example:
        >>> from ddnn.objectives import make_objective
        >>> config = TrainConfig(alternate=True, subnets="resnet8", objective="joint")
        >>> [plan_step(("resnet8", "resnet20"), config, make_objective(config), 0, step, 10).lessons for step in (0, 1)]
        [(Lesson(learners=('resnet20',), teachers=None),), (Lesson(learners=('resnet8',), teachers=()),)]
    """
    full_alone = is_full_alone(epoch + step / steps_per_epoch, config.epochs, config.subnets_from)
    drawn = draw_nets(names, config.subnets_per_step, config.seed, epoch, step, objective.draw, full_alone)
    side = draw_side(config.subnet_sizes, config.subnet_size_share, config.seed, epoch, step)
    apart = side is not None or config.augment.subnets != "same"
    if not config.alternate and not (apart and len(drawn) > 1):
        return StepPlan((Lesson(drawn),), side)
    turns = [epoch * steps_per_epoch + step] if config.alternate else [0, 1]
    return StepPlan(tuple(alternating(drawn, turn, objective.full_teaches) for turn in turns), side)
