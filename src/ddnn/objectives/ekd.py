"""Embedded knowledge distillation: the method of the paper."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

from ddnn.config import EKDConfig
from ddnn.errors import DDNNError
from ddnn.network.lanes import Output
from ddnn.objectives.distillation import ATTENTION_MAPS, adaptive_divergence, attention_distance, posterior_divergence
from ddnn.objectives.joint import joint_loss
from ddnn.objectives.objective import (
    AT_ONCE,
    TEACHER,
    Divergence,
    Loss,
    LossWeights,
    Objective,
    SubnetRamp,
    check_smoothing,
    detached,
    divergences,
    in_single,
    net_weights,
    ramp,
    weighted_sum,
)

_LEAST_DECAY = 0.8


@dataclass(frozen=True)
class EKD(Objective):
    """Embedded knowledge distillation: the full net teaches its sub-nets in every iteration.

        L = w_F CE(z_F, y) + Σ_s w_s [ CE(z_s, y) + α T² KL(softmax(z_F / T) ‖ softmax(z_s / T))
                                   + β Σ_r mean((A(f_s^r) - A(f_F^r))²) ]

    with everything of the teacher detached (Lyu, Xu, Cheng, arXiv 2103.00793). With the teacher `average` the posterior
    is that of the running average of the full net's weights, and the full net learns from it too: L has
    w_F α T² KL(softmax(z_average / T) ‖ softmax(z_F / T)) besides, unless `teach_full` is off. With the teacher `next`
    the posterior is that of the next deeper net of the step (Scala, `BeSpontaneous/Scala-pytorch`, for widths), while
    attention is compared with the full net's still: Scala has no such term, and the full net's maps are what β is for.
    With the divergence `alpha`, `ddnn.objectives.distillation.adaptive_divergence` stands in place of T² KL.

    Args:
        config: α, β, T and the other options.
        label_smoothing: share of the label spread over all classes, in the cross-entropies.
        loss_weights: w by the names of nets, or a rule, see `Joint`.
        subnet_ramp: how the w of sub-nets grow.

    Example:
        >>> import torch, ddnn
        >>> net = ddnn.build("resnet14", ["resnet8"], num_classes=10)
        >>> loss = EKD()(net.forward_all(torch.randn(4, 3, 32, 32)), torch.arange(4))
        >>> sorted(loss.parts)
        ['attention/resnet8', 'ce/resnet14', 'ce/resnet8', 'kl/resnet8']
    """

    config: EKDConfig = field(default_factory=EKDConfig)
    label_smoothing: float = 0.0
    loss_weights: LossWeights = None
    subnet_ramp: SubnetRamp = AT_ONCE

    def __post_init__(self) -> None:
        check_smoothing(self.label_smoothing)

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        nets = {name: output for name, output in outputs.items() if name != TEACHER}
        weights = net_weights(nets, self.loss_weights, self.subnet_ramp(epoch))
        joint = joint_loss(nets, labels, self.label_smoothing, weights, self.class_weights)
        taught, attentions = self._divergences(outputs, tuple(nets)), self._attentions(nets)
        share = ramp(epoch, float(self.config.ramp_epochs))
        total = (
            joint.total
            + share * self.config.alpha * weighted_sum(taught, weights, joint.total)
            + share * self.config.beta * weighted_sum(attentions, weights, joint.total)
        )
        return Loss(total, joint.parts | detached(taught) | detached(attentions))

    def learns_from_average(self, names: Sequence[str]) -> bool:
        """See `Objective`."""
        return self.config.teacher == "average" and self.config.alpha > 0 and bool(self._taught(names))

    def teacher_decay(self, steps_per_epoch: int) -> float:
        """The share of the average that a step keeps: with a memory of m epochs 1 - 1 / (m · steps_per_epoch), which is
        that of the last m epochs, but 0.8 at least, that of 5 steps (DS-Net, `changlin31/DS-Net`: 0.13 epochs)."""
        memory = self.config.memory
        return self.config.decay if memory is None else max(_LEAST_DECAY, 1 - 1 / (memory * steps_per_epoch))

    @property
    def full_teaches(self) -> bool:
        """See `Objective`."""
        return self.config.teacher != "average" or self.config.beta > 0 or not self.config.teach_full

    def _taught(self, names: Sequence[str]) -> Sequence[str]:
        """Which of these nets, the full net last, learn from a posterior."""
        return names if self.config.teacher == "average" and self.config.teach_full else names[:-1]

    def _divergences(self, outputs: Mapping[str, Output], names: Sequence[str]) -> dict[str, Tensor]:
        """From the teacher, of each net that it teaches; of none where an average would not count."""
        taught, teacher = self._taught(names), outputs[names[-1]].logits
        if self.config.teacher == "next":
            pairs = [self._from(outputs[deeper].logits, outputs, [name]) for name, deeper in pairwise(names)]
            return {key: part for pair in pairs for key, part in pair.items()}
        if self.config.teacher == "mean":
            teacher = torch.stack([in_single(output.logits) for output in outputs.values()]).mean(dim=0)
        if self.config.teacher == "average":
            if not self.learns_from_average(names):
                return {}
            if TEACHER not in outputs:
                raise DDNNError(
                    f"the teacher average needs its output under {TEACHER!r}, before those of the nets: that of a "
                    "ddnn.training.averaged_teacher.AveragedTeacher; or take another teacher"
                )
            teacher = outputs[TEACHER].logits
        return self._from(teacher, outputs, taught)

    def _from(self, teacher: Tensor, outputs: Mapping[str, Output], names: Sequence[str]) -> dict[str, Tensor]:
        """How far these nets are from a teacher, by the divergence of the configuration."""
        measure: Divergence = partial(posterior_divergence, temperature=self.config.temperature)
        if self.config.divergence == "alpha":
            measure = partial(
                adaptive_divergence, temperature=self.config.temperature, clip_ratio=self.config.clip_ratio
            )
        return divergences(outputs, names, teacher, measure, self.config.divergence)

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
