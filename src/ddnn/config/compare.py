"""A comparison: which methods, over which seeds, on what they have in common."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from msgspec import Meta

from ddnn.config.fields import check_distinct, listed, whole_numbers
from ddnn.config.limits import Count
from ddnn.config.method import BUDGETS, METHODS, Method
from ddnn.config.train import TrainConfig
from ddnn.errors import near
from ddnn_runtime.configuration import check, check_types

OWN_KEYS = ("seed", "objective", "output", "resume")
"""Keys of a training run that a comparison sets itself, for each of its runs."""

_Finetune = Annotated[float, Meta(gt=0, le=1, description="a share of the epochs in (0, 1]")]


@dataclass(frozen=True)
class CompareConfig:
    """A comparison of methods to train the nets of one network.

    Args:
        methods: what to compare, as a list or with commas between them: alone (each net by itself), pruned (the full
            net trained alone, cut to each depth, calibrated and fine-tuned), joint, ekd, and objectives of peers:
            inplace, adn, sampled, cooperative. An ablation is a method with changed keys, such as ekd:teacher=next or
            joint:loss_weights=sum:ema=0.99. Differences are to alone.
        seeds: of the runs, as a list or with commas between them; two or more give intervals.
        output: the results folder; runs that are complete there are not run again. None means results/FULL-DATA.
        finetune: how long each pruned net is fine-tuned, as a share of the epochs. The full net that it is cut from is
            trained for all epochs before that.
        score: the images to score the nets on: test, or validation, on which to choose options.
        jobs: runs at once; None means one for each core; on GPUs one for each GPU, or three where images have up to 64
            pixels.
        budget: how long each method trains, one or several with commas between them, each a row of the report: epochs
            (all runs have the same); steps (all runs of a method together have as many steps as training all nets
            alone); or compute (likewise, in multiply-accumulates, forward and backward; what nets share counts once).
        train: what all runs have in common. `seed`, `objective`, `output` and `resume` are set for each.
    """

    methods: list[str] | str = "alone,pruned,joint,ekd"
    seeds: list[int] | int | str = "0,1,2"
    output: str | None = None
    finetune: _Finetune = 0.3
    score: Literal["test", "validation"] = "test"
    jobs: Count | None = None
    budget: list[str] | str = "epochs"
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_types(self)
        given = [Method.parse(text) for text in listed(self.methods)]
        for method in given:
            method.applied(self.train)
        check_distinct("methods", [str(method) for method in given], f"choose from {', '.join(METHODS)}")
        check_distinct("budget", self.budget_list, f"choose from {', '.join(BUDGETS)}")
        for budget in self.budget_list:
            check(budget in BUDGETS, f"there is no budget {budget!r}; {near(budget, BUDGETS)}")
        check_distinct("seeds", self.seed_list, "give one or more, such as 0,1,2")
        check(all(0 <= seed < 2**32 for seed in self.seed_list), f"seeds must be in [0, 2^32), not {self.seeds}")
        default = TrainConfig()
        for key in OWN_KEYS:
            check(
                getattr(self.train, key) == getattr(default, key),
                f"{key} is set by the comparison for each run; leave it out",
            )

    @property
    def method_list(self) -> list[Method]:
        """The rows of the comparison: each method with each budget, but for what is told apart by nothing."""
        given = [Method.parse(text) for text in listed(self.methods)]
        budgets: list[Any] = self.budget_list
        rows = (
            method if method.base == "alone" or method.budget != "epochs" else replace(method, budget=budget)
            for budget in budgets
            for method in given
        )
        return list(dict.fromkeys(rows))

    @property
    def budget_list(self) -> list[str]:
        """The budgets, in the order given."""
        return listed(self.budget)

    @property
    def seed_list(self) -> list[int]:
        """The seeds, in the order given."""
        return whole_numbers("seeds", self.seeds, "0,1,2")
