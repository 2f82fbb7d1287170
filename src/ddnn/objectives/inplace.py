"""Inplace distillation: the full net learns from the labels, its sub-nets from the full net alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ddnn.network.lanes import Output
from ddnn.objectives.objective import Draw, Loss, Objective, cross_entropies, detached, divergences


@dataclass(frozen=True)
class Inplace(Objective):
    """CE(y, z_F) + Σ_s KL(softmax(z_F) ‖ softmax(z_s)), with the full net's posterior detached.

    Universally slimmable networks (Yu and Huang, arXiv 1903.05134, sections 3.2 and 3.3), with depth for width: the
    sandwich rule draws the full net, the smallest and two others a step, and their gradients add up. The divergence and
    the paper's soft cross-entropy differ by a constant.

    Args:
        label_smoothing: share of the label spread over all classes.
    """

    draw: ClassVar[Draw] = "sandwich"
    label_smoothing: float = 0.0

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        *subnets, full = outputs
        parts = cross_entropies({full: outputs[full]}, labels, self.label_smoothing, self.class_weights)
        parts |= divergences(outputs, subnets, outputs[full].logits)
        return Loss(torch.stack(list(parts.values())).sum(), detached(parts))
