"""Embedded knowledge distillation: who teaches what, and how much it counts."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ddnn.config.limits import Below1, Count, Positive, Weight
from ddnn_runtime.configuration import check, check_types

_Epochs = Annotated[float, Meta(gt=0, description="above 0 epochs")]
_Ratio = Annotated[float, Meta(gt=1)]


@dataclass(frozen=True)
class EKDConfig:
    """Options of embedded knowledge distillation; the formula is in `ddnn.objectives.EKD`.

    The defaults are those of the paper's setting, where the full net teaches. `TrainConfig` has others, which did
    better (docs/experiments.md).

    Args:
        alpha: weight of the divergence of the posteriors.
        beta: weight of the distance of the attention maps.
        temperature: T, for both posteriors.
        ramp_epochs: alpha and beta grow from 0 to their values over so many epochs.
        teacher: whose posterior teaches: full is the full net, mean the mean of all nets' logits, next the next deeper
            net of the step, average the running average of the full net's weights, from which the full net learns too.
        teach_full: with the teacher average, the full net learns from it, too. false: it learns from the labels alone,
            as with every other teacher.
        decay: of the teacher average: the share of the average that a step keeps.
        memory: of the teacher average, in epochs, in place of decay: 0.13 with 390 steps an epoch is a decay of 0.98.
            The decay is at least 0.8.
        divergence: kl; or alpha, for each image the larger of that and one that punishes what the teacher rules out
            (AlphaNet, arXiv 2102.07954).
        clip_ratio: of the divergence alpha: the largest ratio of posteriors that counts.
        attention: sum is the map of the paper's authors, square that of Zagoruyko and Komodakis (arXiv 1612.03928).
        attention_stages: compare the last so many stages; None means all.
    """

    alpha: Weight = 0.1
    beta: Weight = 0.01
    temperature: Positive = 3.0
    ramp_epochs: Weight = 0.0
    teacher: Literal["full", "mean", "next", "average"] = "full"
    teach_full: bool = True
    decay: Below1 = 0.99
    memory: _Epochs | None = None
    divergence: Literal["kl", "alpha"] = "kl"
    clip_ratio: _Ratio = 5.0
    attention: Literal["sum", "square"] = "sum"
    attention_stages: Count | None = None

    def __post_init__(self) -> None:
        check_types(self, "ekd.")
        check(
            self.memory is None or self.decay == EKDConfig.decay,
            f"ekd.decay {self.decay} and ekd.memory {self.memory} say how long the average lasts, in steps and in "
            "epochs: leave one of the two out",
        )
