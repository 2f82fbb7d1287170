"""Skip-aware self-distillation: how adaptive depth networks are trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from ddnn.distillation import posterior_divergence
from ddnn.objectives.objective import Draw, Loss, Objective, cross_entropies, detached, in_single
from ddnn.shared_prefix import Output


@dataclass(frozen=True)
class AdaptiveDepth(Objective):
    """½ CE(y, z_F) + ½ KL(softmax(z_F) ‖ softmax(z_smallest)), with the full net's posterior detached.

    Adaptive Depth Networks (Kang and Lee, arXiv 2312.16392): only the full net and the smallest are trained, the
    smallest with norm weights of its own, and the depths between them run on the full net's. Left out: the restriction
    to the likeliest 500 classes, which the authors make on ImageNet, and their optional divergence of features.

    Args:
        label_smoothing: share of the label spread over all classes.
    """

    draw: ClassVar[Draw] = "extremes"
    label_smoothing: float = 0.0

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        *subnets, full = outputs
        parts = cross_entropies({full: outputs[full]}, labels, self.label_smoothing)
        total = parts[f"ce/{full}"] / 2
        for name in subnets:
            own, teacher = in_single(outputs[name].logits), in_single(outputs[full].logits).detach()
            parts[f"kl/{name}"] = posterior_divergence(own, teacher)
            total = total + parts[f"kl/{name}"] / (2 * len(subnets))
        return Loss(total, detached(parts))
