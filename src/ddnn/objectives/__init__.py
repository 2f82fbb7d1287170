"""What one training iteration minimises: outputs and labels in, named loss parts out. One objective a file.

`EKD` is the method of the paper; `Joint` is the same without a teacher, the ablation that belongs in every table. The
others are what peers minimise, written from their papers, so that `ddnn compare` can set them side by side.
"""

from collections.abc import Callable

from ddnn.config import TrainConfig
from ddnn.objectives.adaptive_depth import AdaptiveDepth
from ddnn.objectives.cooperative import Cooperative
from ddnn.objectives.ekd import EKD
from ddnn.objectives.inplace import Inplace
from ddnn.objectives.joint import Joint
from ddnn.objectives.objective import PARTNER, TEACHER, Draw, Loss, LossWeights, Objective, SubnetRamp
from ddnn.objectives.sampled import Sampled

__all__ = [
    "EKD",
    "PARTNER",
    "TEACHER",
    "AdaptiveDepth",
    "Cooperative",
    "Draw",
    "Inplace",
    "Joint",
    "Loss",
    "LossWeights",
    "Objective",
    "Sampled",
    "SubnetRamp",
    "make_objective",
]


def _subnet_ramp(config: TrainConfig) -> SubnetRamp:
    return SubnetRamp(float(config.subnets_from * config.epochs), float(config.subnets_ramp * config.epochs))


_MAKERS: dict[str, Callable[[TrainConfig], Objective]] = {
    "ekd": lambda config: EKD(config.ekd, config.label_smoothing, config.loss_weights, _subnet_ramp(config)),
    "joint": lambda config: Joint(config.label_smoothing, config.loss_weights, _subnet_ramp(config)),
    "inplace": lambda config: Inplace(config.label_smoothing),
    "adn": lambda config: AdaptiveDepth(config.label_smoothing),
    "sampled": lambda config: Sampled(config.label_smoothing),
    "cooperative": lambda config: Cooperative(config.label_smoothing),
}


def make_objective(config: TrainConfig) -> Objective:
    """The objective of a configuration."""
    return _MAKERS[config.objective](config)
