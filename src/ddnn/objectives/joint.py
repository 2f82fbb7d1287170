"""Cross-entropy on every net, and no teacher."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ddnn.network.lanes import Output
from ddnn.objectives.objective import (
    AT_ONCE,
    Loss,
    LossWeights,
    Objective,
    SubnetRamp,
    check_smoothing,
    cross_entropies,
    detached,
    net_weights,
    weighted_sum,
)


@dataclass(frozen=True)
class Joint(Objective):
    """w_F CE(y, z_F) + Σ_s w_s CE(y, z_s): cross-entropy on every net, no distillation.

    Args:
        label_smoothing: share of the label spread over all classes.
        loss_weights: w by the names of nets; where none is given, 1 for the full net, and for sub-nets one over their
            number. Or a rule: mean is that, and sum 1 for each, see `net_weights`.
        subnet_ramp: how the w of sub-nets grow.
    """

    label_smoothing: float = 0.0
    loss_weights: LossWeights = None
    subnet_ramp: SubnetRamp = AT_ONCE

    def __post_init__(self) -> None:
        check_smoothing(self.label_smoothing)

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        weights = net_weights(outputs, self.loss_weights, self.subnet_ramp(epoch))
        return joint_loss(outputs, labels, self.label_smoothing, weights, self.class_weights)


def joint_loss(
    outputs: Mapping[str, Output],
    labels: Tensor,
    label_smoothing: float,
    weights: Mapping[str, float | Tensor],
    class_weights: Tensor | None = None,
) -> Loss:
    """The loss of `Joint`, which is a part of others; errors as of `cross_entropies`."""
    parts = cross_entropies(outputs, labels, label_smoothing, class_weights)
    return Loss(weighted_sum(parts, weights, next(iter(parts.values()))), detached(parts))
