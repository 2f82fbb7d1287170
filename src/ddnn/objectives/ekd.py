"""Embedded knowledge distillation: the method of the paper."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ddnn.config import EKDConfig
from ddnn.distillation import ATTENTION_MAPS, attention_distance
from ddnn.errors import DDNNError
from ddnn.objectives.joint import joint_loss
from ddnn.objectives.objective import (
    TEACHER,
    Loss,
    Objective,
    detached,
    divergences,
    in_single,
    net_weights,
    weighted_sum,
)
from ddnn.shared_prefix import Output


@dataclass(frozen=True)
class EKD(Objective):
    """Embedded knowledge distillation: the full net teaches its sub-nets in every iteration.

        L = w_F CE(z_F, y) + Σ_s w_s [ CE(z_s, y) + α T² KL(softmax(z_F / T) ‖ softmax(z_s / T))
                                   + β Σ_r mean((A(f_s^r) - A(f_F^r))²) ]

    with everything of the teacher detached (Lyu, Xu, Cheng, arXiv 2103.00793). With the teacher `average` the posterior
    is that of the running average of the full net's weights, and the full net learns from it too: L has
    w_F α T² KL(softmax(z_average / T) ‖ softmax(z_F / T)) besides.

    Args:
        config: α, β, T and the other options.
        label_smoothing: share of the label spread over all classes, in the cross-entropies.
        loss_weights: w by the names of nets, see `Joint`.

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
        nets = {name: output for name, output in outputs.items() if name != TEACHER}
        joint = joint_loss(nets, labels, self.label_smoothing, self.loss_weights)
        taught, attentions = self._divergences(outputs), self._attentions(nets)
        ramp, weights = self._ramp(epoch), net_weights(nets, self.loss_weights)
        total = (
            joint.total
            + ramp * self.config.alpha * weighted_sum(taught, weights, joint.total)
            + ramp * self.config.beta * weighted_sum(attentions, weights, joint.total)
        )
        return Loss(total, joint.parts | detached(taught) | detached(attentions))

    @property
    def teacher_decay(self) -> float | None:
        """See `Objective`."""
        return self.config.decay if self.config.teacher == "average" and self.config.alpha else None

    @property
    def full_teaches(self) -> bool:
        """See `Objective`."""
        return self.config.teacher != "average" or self.config.beta > 0

    def _divergences(self, outputs: Mapping[str, Output]) -> dict[str, Tensor]:
        """From the teacher, of each net that it teaches; of none where an average would not count."""
        *subnets, full = (name for name in outputs if name != TEACHER)
        taught, teacher = subnets, outputs[full].logits
        if self.config.teacher == "mean":
            teacher = torch.stack([in_single(output.logits) for output in outputs.values()]).mean(dim=0)
        if self.config.teacher == "average":
            if not self.config.alpha:
                return {}
            if TEACHER not in outputs:
                raise DDNNError(
                    f"the teacher average needs its output under {TEACHER!r}, before those of the nets: that of a "
                    "ddnn.averaged_teacher.AveragedTeacher; or take another teacher"
                )
            taught, teacher = [*subnets, full], outputs[TEACHER].logits
        return divergences(outputs, taught, teacher, self.config.temperature)

    def _attentions(self, outputs: Mapping[str, Output]) -> dict[str, Tensor]:
        """From the full net, of each sub-net."""
        *subnets, full = outputs
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
