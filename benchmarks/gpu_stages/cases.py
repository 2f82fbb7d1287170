"""The networks that the stages step and ask: real ones for a GPU, toys for a dry run. The most wanted come first."""

from dataclasses import dataclass
from functools import partial

from adaptive_depth import adaptive_depth
from steps import OURS, Maker, Problem, alone, ekd

ADN = "adaptive depth"
SMALL_STEM = {"stem": "small"}


@dataclass(frozen=True)
class Case:
    """A network and its images.

    Args:
        name: what results call it.
        problem: what is trained on what.
        trained: whether `ddnn train` can train it on CIFAR-10, for the share of a step that waits for data.
        compiled: whether it is compiled too, which takes minutes.
    """

    name: str
    problem: Problem
    trained: bool = False
    compiled: bool = False

    def makers(self) -> dict[str, Maker]:
        """EKD's step, those of the stock models, and, for ResNets, adaptive depth's."""
        stock: dict[str, Maker] = {name: partial(alone, self.problem, name) for name in self.problem.names}
        peer: dict[str, Maker] = {ADN: partial(adaptive_depth, self.problem)} if "resnet" in self.problem.full else {}
        return {OURS: partial(ekd, self.problem), **stock, **peer}


REAL = (
    Case("resnet56", Problem("resnet56", ("resnet20", "resnet32"), 32, 256, 10), trained=True, compiled=True),
    Case("resnet34", Problem("resnet34", ("resnet18",), 32, 512, 10, SMALL_STEM), trained=True, compiled=True),
    Case("resnet101", Problem("resnet101", ("resnet50",), 224, 64, 1000)),
    Case("convnext", Problem("convnext_small", ("convnext_tiny",), 224, 64, 1000)),
    Case("vit", Problem("vit_b_16", {"half": (6,)}, 224, 64, 1000)),
)
TOYS = (Case("resnet14", Problem("resnet14", ("resnet8",), 16, 2, 10), trained=True, compiled=True),)


def cases(dry: bool) -> tuple[Case, ...]:
    """Those that suit."""
    return TOYS if dry else REAL
