"""Cross-entropy on every net, and no teacher."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ddnn.objectives.objective import Loss, Objective, cross_entropies, detached, net_weights, weighted_sum
from ddnn.shared_prefix import Output


@dataclass(frozen=True)
class Joint(Objective):
    """w_F CE(y, z_F) + Σ_s w_s CE(y, z_s): cross-entropy on every net, no distillation.

    Args:
        label_smoothing: share of the label spread over all classes.
        loss_weights: w by the names of nets; where none is given, 1 for the full net, and for sub-nets one over their
            number.
    """

    label_smoothing: float = 0.0
    loss_weights: Mapping[str, float] | None = None

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        return joint_loss(outputs, labels, self.label_smoothing, self.loss_weights)


def joint_loss(
    outputs: Mapping[str, Output], labels: Tensor, label_smoothing: float, loss_weights: Mapping[str, float] | None
) -> Loss:
    """The loss of `Joint`, which is a part of others."""
    parts = cross_entropies(outputs, labels, label_smoothing)
    weights = net_weights(outputs, loss_weights)
    return Loss(weighted_sum(parts, weights, next(iter(parts.values()))), detached(parts))
