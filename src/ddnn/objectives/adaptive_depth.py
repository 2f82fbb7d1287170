"""Skip-aware self-distillation: how adaptive depth networks are trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddnn.network.lanes import Output
from ddnn.objectives.objective import Draw, Loss, Objective, cross_entropies, detached, divergences


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
    private_norms: ClassVar[bool] = True
    label_smoothing: float = 0.0

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        *subnets, full = outputs
        own = cross_entropies({full: outputs[full]}, labels, self.label_smoothing, self.class_weights)
        taught = divergences(outputs, subnets, outputs[full].logits)
        total = own[f"ce/{full}"] / 2
        if taught:
            total = total + torch.stack(list(taught.values())).mean() / 2
        return Loss(total, detached(own | taught))
