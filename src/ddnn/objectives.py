"""What one training iteration minimises: outputs and labels in, named loss parts out.

`EKD` is the method of the paper; `Joint` is the same without a teacher, the ablation that belongs in every table.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ddnn.config import EKDConfig
from ddnn.distillation import ATTENTION_MAPS, attention_distance, posterior_divergence
from ddnn.shared_prefix import Output


class Loss(NamedTuple):
    """A loss and what it is made of.

    Args:
        total: what is minimised, a scalar.
        parts: each part as it is before weighting, detached: `ce/NAME`, `kl/NAME`, `attention/NAME`.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Objective(ABC):
    """Maps the outputs of all nets and the labels to a loss. Objectives hold no parameters."""

    @abstractmethod
    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """The loss of one batch.

        Args:
            outputs: of the nets that are trained, the full net last, as `forward_all` gives them.
            labels: class numbers, (batch,).
            epoch: epochs trained so far, with the fraction of this one. A scalar tensor where the call is compiled,
                for each new number would be compiled anew.
        """


@dataclass(frozen=True)
class Joint(Objective):
    """CE(y, z_F) + 1/|S| Σ_s CE(y, z_s): cross-entropy on every net, no distillation.

    Args:
        label_smoothing: share of the label spread over all classes.
    """

    label_smoothing: float = 0.0

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        return _joint(outputs, labels, self.label_smoothing)


@dataclass(frozen=True)
class EKD(Objective):
    """Embedded knowledge distillation: the full net teaches its sub-nets in every iteration.

        L = CE(z_F, y) + 1/|S| Σ_s [ CE(z_s, y) + α T² KL(softmax(z_F / T) ‖ softmax(z_s / T))
                                     + β Σ_r mean((A(f_s^r) - A(f_F^r))²) ]

    with everything of the teacher detached (Lyu, Xu, Cheng, arXiv 2103.00793).

    Args:
        config: α, β, T and the other options.
        label_smoothing: share of the label spread over all classes, in the cross-entropies.

    Example:
        >>> import torch, ddnn
        >>> net = ddnn.build("resnet14", ["resnet8"], num_classes=10)
        >>> loss = EKD()(net.forward_all(torch.randn(4, 3, 32, 32)), torch.arange(4))
        >>> sorted(loss.parts)
        ['attention/resnet8', 'ce/resnet14', 'ce/resnet8', 'kl/resnet8']
    """

    config: EKDConfig = field(default_factory=EKDConfig)
    label_smoothing: float = 0.0

    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """See `Objective`."""
        joint = _joint(outputs, labels, self.label_smoothing)
        *subnets, full = outputs
        divergences = self._divergences(outputs, subnets, full)
        attentions = self._attentions(outputs, subnets, full)
        ramp = self._ramp(epoch)
        total = (
            joint.total
            + ramp * self.config.alpha * _mean(list(divergences.values()), joint.total)
            + ramp * self.config.beta * _mean(list(attentions.values()), joint.total)
        )
        return Loss(total, joint.parts | _detached(divergences) | _detached(attentions))

    def _divergences(self, outputs: Mapping[str, Output], subnets: list[str], full: str) -> dict[str, Tensor]:
        logits = {name: _in_single(output.logits) for name, output in outputs.items()}
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


def _joint(outputs: Mapping[str, Output], labels: Tensor, label_smoothing: float) -> Loss:
    parts = {
        f"ce/{name}": functional.cross_entropy(output.logits, labels, label_smoothing=label_smoothing)
        for name, output in outputs.items()
    }
    *subnets, full = parts.values()
    return Loss(full + _mean(subnets, full), _detached(parts))


def _in_single(logits: Tensor) -> Tensor:
    """Logits in single precision at least: in bfloat16, in which autocast leaves them on a CPU, the small difference of
    two log-posteriors would be mostly rounding."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def _mean(values: list[Tensor], like: Tensor) -> Tensor:
    """The mean of the values; zero if there are none."""
    return torch.stack(values).mean() if values else torch.zeros_like(like)


def _detached(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: part.detach() for name, part in parts.items()}
