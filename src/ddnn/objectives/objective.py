"""What every objective is: a function from the outputs of the nets that a step trains to a loss."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ddnn.errors import DDNNError
from ddnn.network.lanes import Output
from ddnn.objectives.distillation import posterior_divergence
from ddnn_runtime.untrusted import shown

Draw = Literal["full_and_others", "sandwich", "extremes", "one"]
"""Which nets a step trains; `ddnn.training.draw` says what each means."""


class Loss(NamedTuple):
    """A loss and what it is made of.

    Args:
        total: what is minimised, a scalar.
        parts: each part as it is before weighting, detached: `ce/NAME`, `kl/NAME`, `attention/NAME`.
    """

    total: Tensor
    parts: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Objective(ABC):
    """Maps the outputs of all nets and the labels to a loss. Objectives hold no parameters.

    Attributes:
        class_weights: what an image counts in each cross-entropy by its class, (classes,), on the device of the labels;
            None means 1. `weighing` sets it. Divergences and attention count all images alike.
        draw: which nets a step trains.
        has_partner: whether a second network of the same nets is trained beside the first; its outputs come first,
            under the names `PARTNER + NAME`.
        private_norms: whether the smallest sub-net has norm weights of its own, where the configuration leaves it open.
        full_teaches: whether the sub-nets learn from what the full net gives in the same step.
    """

    class_weights: Tensor | None = field(default=None, compare=False, repr=False)
    draw: ClassVar[Draw] = "full_and_others"
    has_partner: ClassVar[bool] = False
    private_norms: ClassVar[bool] = False

    def weighing(self, class_weights: Tensor | None) -> "Objective":
        """The same objective with these class weights."""
        return replace(self, class_weights=class_weights)

    def learns_from_average(self, names: Sequence[str]) -> bool:
        """Whether an average of the full net's weights teaches any of these nets, the full net last; its output then
        comes first, under the name `TEACHER`, see `ddnn.training.averaged_teacher`."""
        del names
        return False

    def teacher_decay(self, steps_per_epoch: int) -> float:
        """The share of that average that a step keeps, where an epoch has so many steps."""
        raise NotImplementedError(f"{type(self).__name__} learns from no average, however long an epoch is")

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

Divergence = Callable[[Tensor, Tensor], Tensor]
"""Of logits, the student's and the teacher's, each (batch, classes); a scalar."""

LossWeights = Mapping[str, float] | Literal["mean", "sum"] | None
"""What each net's losses count: a rule, or weights by the names of nets; None is the rule mean."""


class SubnetRamp(NamedTuple):
    """How the weight of all that sub-nets add grows from 0 to 1, in epochs. Scala (`BeSpontaneous/Scala-pytorch`),
    once-for-all networks and EA-ViT train the full net first, too.

    Args:
        begin: epochs without sub-nets.
        length: epochs that it takes from there on.

    Example:
        >>> [float(SubnetRamp(begin=2.0, length=4.0)(epoch)) for epoch in (0.0, 3.0, 6.0, 9.0)]
        [0.0, 0.25, 1.0, 1.0]
    """

    begin: float = 0.0
    length: float = 0.0

    def __call__(self, epoch: float | Tensor) -> float | Tensor:
        """The weight after so many epochs."""
        return ramp(epoch - self.begin, self.length)


AT_ONCE = SubnetRamp()
"""All nets count from the first step."""


def ramp(epochs: float | Tensor, length: float) -> float | Tensor:
    """From 0 to 1 in `length` epochs, linearly; 1 if that is 0."""
    return torch.as_tensor(epochs / length).clamp(min=0.0, max=1.0) if length else 1.0


def check_smoothing(label_smoothing: float) -> None:
    """Raise a DDNNError unless that share of a label can be spread over all classes."""
    if not isinstance(label_smoothing, int | float) or not 0 <= label_smoothing <= 1:
        raise DDNNError(f"label_smoothing must be a share in [0, 1], not {shown(label_smoothing)}")


def check_labels(outputs: Mapping[str, Output], labels: Tensor) -> None:
    """Raise a DDNNError unless each image has a class number, or the shares of all classes. Whether a number is that of
    a class is not looked at: on a GPU a step would have to wait for it."""
    if not isinstance(labels, Tensor):
        raise DDNNError(f"labels must be a tensor of class numbers, not {shown(labels)}")
    for name, output in outputs.items():
        if labels.shape not in (output.logits.shape[:1], output.logits.shape):
            raise DDNNError(
                f"labels must be class numbers (batch,) or shares (batch, classes) for logits of {name} of shape "
                f"{tuple(output.logits.shape)}, not of shape {tuple(labels.shape)}"
            )


def cross_entropies(
    outputs: Mapping[str, Output], labels: Tensor, label_smoothing: float, class_weights: Tensor | None = None
) -> dict[str, Tensor]:
    """CE(y, z) of each net, under `ce/NAME`: the mean over the images, each of which counts what its class does.

    Args:
        outputs: of the nets.
        labels: class numbers, (batch,), or the classes' shares, (batch, classes).
        label_smoothing: share of the label spread over all classes.
        class_weights: what an image of each class counts, (classes,); None means 1. The sum is divided by the number of
            images, not by what they count together as torch's mean is: else an image would count more or less by the
            company it has, and batches in parts or in several processes would be others than whole ones.

    Raises:
        DDNNError: if the labels are no class numbers or shares for these logits.

    Example:
        >>> logits = torch.zeros(4, 2)
        >>> outputs = {"net": Output(logits, ())}
        >>> counts = torch.tensor([0.5, 2.0])
        >>> ce = cross_entropies(outputs, torch.tensor([0, 0, 0, 1]), 0.0, counts)["ce/net"]
        >>> round(float(ce / torch.tensor(2.0).log()), 4)  # (0.5 + 0.5 + 0.5 + 2) / 4
        0.875
    """
    check_labels(outputs, labels)
    if class_weights is not None:
        return {
            f"ce/{name}": _weighed(output, labels, label_smoothing, class_weights) for name, output in outputs.items()
        }
    return {
        f"ce/{name}": functional.cross_entropy(output.logits, labels, label_smoothing=label_smoothing)
        for name, output in outputs.items()
    }


def _weighed(output: Output, labels: Tensor, label_smoothing: float, class_weights: Tensor) -> Tensor:
    logits = in_single(output.logits)
    weights = class_weights.to(logits.dtype)
    total = functional.cross_entropy(logits, labels, weights, label_smoothing=label_smoothing, reduction="sum")
    return total / len(labels)


def divergences(
    outputs: Mapping[str, Output],
    names: Iterable[str],
    teacher: Tensor,
    measure: Divergence = posterior_divergence,
    kind: str = "kl",
) -> dict[str, Tensor]:
    """KL(softmax(teacher) ‖ softmax(z)), or another measure, of each named net; the teacher is detached.

    Args:
        outputs: of all nets.
        names: those that are taught.
        teacher: logits, (batch, classes).
        measure: of how far logits are from the teacher's.
        kind: the parts are named `KIND/NAME`.
    """
    target = in_single(teacher).detach()
    return {f"{kind}/{name}": measure(in_single(outputs[name].logits), target) for name in names}


def in_single(logits: Tensor) -> Tensor:
    """Logits in single precision at least: in bfloat16, in which autocast leaves them on a CPU, the small difference of
    two log-posteriors would be mostly rounding."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def net_weights(
    names: Iterable[str], given: LossWeights = None, subnets_count: float | Tensor = 1.0
) -> dict[str, float | Tensor]:
    """What each net's losses count: 1 for the full net, and for a sub-net one over their number, 1 or what is given.

    Args:
        names: of the nets, the full net last.
        given: mean, where sub-nets count as much together as the full net; sum, where each does (universally slimmable
            networks, arXiv 1903.05134, and most since); or weights by name, in place of those of mean.
        subnets_count: a factor on all sub-nets' weights, see `SubnetRamp`.

    >>> net_weights(["resnet8", "resnet14", "resnet20"], {"resnet8": 2.0})
    {'resnet8': 2.0, 'resnet14': 0.5, 'resnet20': 1.0}
    >>> net_weights(["resnet8", "resnet14", "resnet20"], "sum", subnets_count=0.5)
    {'resnet8': 0.5, 'resnet14': 0.5, 'resnet20': 1.0}
    """
    *subnets, full = names
    named = given if isinstance(given, Mapping) else {}
    each = 1.0 if given == "sum" else 1 / max(1, len(subnets))
    return {**{name: subnets_count * named.get(name, each) for name in subnets}, full: named.get(full, 1.0)}


def weighted_sum(parts: Mapping[str, Tensor], weights: Mapping[str, float | Tensor], like: Tensor) -> Tensor:
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
