"""Embedded knowledge distillation: the method of the paper."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ddnn.config import EKDConfig
from ddnn.distillation import ATTENTION_MAPS, attention_distance, posterior_divergence
from ddnn.objectives.joint import Joint
from ddnn.objectives.objective import Loss, Objective, detached, in_single, weighted
from ddnn.shared_prefix import Output


@dataclass(frozen=True)
class EKD(Objective):
    """Embedded knowledge distillation: the full net teaches its sub-nets in every iteration.

        L = CE(z_F, y) + Σ_s w_s [ CE(z_s, y) + α T² KL(softmax(z_F / T) ‖ softmax(z_s / T))
                                   + β Σ_r mean((A(f_s^r) - A(f_F^r))²) ]

    with everything of the teacher detached (Lyu, Xu, Cheng, arXiv 2103.00793).

    Args:
        config: α, β, T and the other options.
        label_smoothing: share of the label spread over all classes, in the cross-entropies.
        loss_weights: w_s by the names of sub-nets, see `Joint`.

    Example:
        >>> import torch, ddnn
        >>> net = ddnn.build("resnet14", ["resnet8"], num_classes=10)
        >>> loss = EKD()(net.forward_all(torch.randn(4, 3, 32, 32)), torch.arange(4))
        >>> sorted(loss.parts)
        ['attention/resnet8', 'ce/resnet14', 'ce/resnet8', 'kl/resnet8']
    """

    config: EKDConfig = field(default_factory=EKDConfig)
    label_smoothing: float = 0.0
    loss_weights: Mapping[str, float] | None = None

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        joint = Joint(self.label_smoothing, self.loss_weights)(outputs, labels)
        *subnets, full = outputs
        divergences = self._divergences(outputs, subnets, full)
        attentions = self._attentions(outputs, subnets, full)
        ramp = self._ramp(epoch)
        total = (
            joint.total
            + ramp * self.config.alpha * weighted(divergences, self.loss_weights, joint.total)
            + ramp * self.config.beta * weighted(attentions, self.loss_weights, joint.total)
        )
        return Loss(total, joint.parts | detached(divergences) | detached(attentions))

    def _divergences(self, outputs: Mapping[str, Output], subnets: list[str], full: str) -> dict[str, Tensor]:
        logits = {name: in_single(output.logits) for name, output in outputs.items()}
        teacher = logits[full].detach()
        if self.config.teacher == "mean":
            teacher = torch.stack([own.detach() for own in logits.values()]).mean(dim=0)
        return {f"kl/{name}": posterior_divergence(logits[name], teacher, self.config.temperature) for name in subnets}

    def _attentions(self, outputs: Mapping[str, Output], subnets: list[str], full: str) -> dict[str, Tensor]:
        if self.config.beta == 0:
            return {}
        last = slice(-self.config.attention_stages if self.config.attention_stages else None, None)
        attention = ATTENTION_MAPS[self.config.attention]
        teacher = [attention(feature.detach()) for feature in outputs[full].features[last]]
        return {
            f"attention/{name}": attention_distance([attention(own) for own in outputs[name].features[last]], teacher)
            for name in subnets
        }

    def _ramp(self, epoch: float | Tensor) -> float | Tensor:
        return torch.as_tensor(epoch / self.config.ramp_epochs).clamp(max=1.0) if self.config.ramp_epochs else 1.0
