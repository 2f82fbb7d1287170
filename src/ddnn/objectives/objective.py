"""What every objective is: a function from the outputs of the nets that a step trains to a loss."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ddnn.distillation import posterior_divergence
from ddnn.shared_prefix import Output

Draw = Literal["full_and_others", "sandwich", "extremes", "one"]
"""Which nets a step trains; `ddnn.subnet_draw` says what each means."""


class Loss(NamedTuple):
    """A loss and what it is made of.

    Args:
        total: what is minimised, a scalar.
        parts: each part as it is before weighting, detached: `ce/NAME`, `kl/NAME`, `attention/NAME`.
    """

    total: Tensor
    parts: dict[str, Tensor]


class Objective(ABC):
    """Maps the outputs of all nets and the labels to a loss. Objectives hold no parameters.

    Attributes:
        draw: which nets a step trains.
        has_partner: whether a second network of the same nets is trained beside the first; its outputs come first,
            under the names `PARTNER + NAME`.
        private_norms: whether the smallest sub-net has norm weights of its own, where the configuration leaves it open.
        teacher_decay: of an average of the full net's weights whose output comes first, under the name `TEACHER`, see
            `ddnn.averaged_teacher`; None for objectives without.
        full_teaches: whether the sub-nets learn from what the full net gives in the same step.
    """

    draw: ClassVar[Draw] = "full_and_others"
    has_partner: ClassVar[bool] = False
    private_norms: ClassVar[bool] = False

    @property
    def teacher_decay(self) -> float | None:
        """See the attributes."""
        return None

    @property
    def full_teaches(self) -> bool:
        """See the attributes."""
        return False

    @abstractmethod
    def __call__(self, outputs: Mapping[str, Output], labels: Tensor, epoch: float | Tensor = 0.0) -> Loss:
        """The loss of one batch.

        Args:
            outputs: of the nets that are trained, the full net last, as `forward_all` gives them.
            labels: class numbers, (batch,), or the classes' shares, (batch, classes).
            epoch: epochs trained so far, with the fraction of this one. A scalar tensor where the call is compiled,
                for each new number would be compiled anew.
        """


PARTNER, TEACHER = "partner/", "teacher/average"


def cross_entropies(outputs: Mapping[str, Output], labels: Tensor, label_smoothing: float) -> dict[str, Tensor]:
    """CE(y, z) of each net, under `ce/NAME`."""
    return {
        f"ce/{name}": functional.cross_entropy(output.logits, labels, label_smoothing=label_smoothing)
        for name, output in outputs.items()
    }


def divergences(
    outputs: Mapping[str, Output], names: Iterable[str], teacher: Tensor, temperature: float = 1.0
) -> dict[str, Tensor]:
    """T² KL(softmax(teacher / T) ‖ softmax(z / T)) of each named net, under `kl/NAME`; the teacher is detached.

    Args:
        outputs: of all nets.
        names: those that are taught.
        teacher: logits, (batch, classes).
        temperature: T.
    """
    target = in_single(teacher).detach()
    return {f"kl/{name}": posterior_divergence(in_single(outputs[name].logits), target, temperature) for name in names}


def in_single(logits: Tensor) -> Tensor:
    """Logits in single precision at least: in bfloat16, in which autocast leaves them on a CPU, the small difference of
    two log-posteriors would be mostly rounding."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def net_weights(names: Iterable[str], given: Mapping[str, float] | None = None) -> dict[str, float]:
    """What each net's losses count: 1 for the full net, one over their number for sub-nets, or what is given.

    >>> net_weights(["resnet8", "resnet14", "resnet20"], {"resnet8": 2.0})
    {'resnet8': 2.0, 'resnet14': 0.5, 'resnet20': 1.0}
    """
    *subnets, full = names
    return {**dict.fromkeys(subnets, 1 / max(1, len(subnets))), full: 1.0} | dict(given or {})


def weighted_sum(parts: Mapping[str, Tensor], weights: Mapping[str, float], like: Tensor) -> Tensor:
    """The sum of parts, which are under `KIND/NAME`, each with the weight of its net; zero if there are none.

    Args:
        parts: scalars.
        weights: by the names of nets.
        like: a scalar of the type and on the device of the result.
    """
    own = [weights[key.partition("/")[2]] * part for key, part in parts.items()]
    return torch.stack(own).sum() if own else torch.zeros_like(like)


def detached(parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The parts, for looking at."""
    return {name: part.detach() for name, part in parts.items()}
