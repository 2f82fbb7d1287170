"""Cross-entropy on every net, and no teacher."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from ddnn.objectives.objective import Loss, Objective, cross_entropies, detached, weighted
from ddnn.shared_prefix import Output


@dataclass(frozen=True)
class Joint(Objective):
    """CE(y, z_F) + Σ_s w_s CE(y, z_s): cross-entropy on every net, no distillation.

    Args:
        label_smoothing: share of the label spread over all classes.
        loss_weights: w_s by the names of sub-nets; one over their number where none is given. A weight under the full
            net's name goes before its cross-entropy.
    """

    label_smoothing: float = 0.0
    loss_weights: Mapping[str, float] | None = None

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        parts = cross_entropies(outputs, labels, self.label_smoothing)
        *subnets, full = parts
        own = parts[full] * (self.loss_weights or {}).get(full.partition("/")[2], 1.0)
        return Loss(own + weighted({name: parts[name] for name in subnets}, self.loss_weights, own), detached(parts))
