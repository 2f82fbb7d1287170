"""Two networks that teach each other, and each its own sub-nets."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ddnn.network.lanes import Output
from ddnn.objectives.objective import (
    PARTNER,
    Loss,
    Objective,
    cross_entropies,
    detached,
    divergences,
    net_weights,
    weighted_sum,
)


@dataclass(frozen=True)
class Cooperative(Objective):
    """For both networks: CE(y, z_F) + KL(other's F ‖ F) + 1/|S| Σ_s [CE(y, z_s) + KL(F ‖ s)], teachers detached.

    Cooperative Learning for Cost-Adaptive Inference (arXiv 2312.08532), with the mutual term of deep mutual learning
    (Zhang et al., arXiv 1706.00384, section 2.2). Left out: the leader net of the paper, a third and larger network.
    The network that is kept is the first; the partner starts from other weights.

    Args:
        label_smoothing: share of the label spread over all classes.
    """

    has_partner: ClassVar[bool] = True
    label_smoothing: float = 0.0

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        partner = {name: output for name, output in outputs.items() if name.startswith(PARTNER)}
        own = {name: output for name, output in outputs.items() if name not in partner}
        first, second = self._taught(own, partner, labels), self._taught(partner, own, labels)
        return Loss(first.total + second.total, first.parts | second.parts)

    def _taught(self, own: Mapping[str, Output], other: Mapping[str, Output], labels: Tensor) -> Loss:
        """The loss of one network, whose full net learns from the other's."""
        *subnets, full = own
        peer = list(other.values())[-1].logits
        parts = cross_entropies(own, labels, self.label_smoothing, self.class_weights)
        parts |= divergences(own, subnets, own[full].logits) | divergences(own, [full], peer)
        return Loss(weighted_sum(parts, net_weights(own), parts[f"ce/{full}"]), detached(parts))
