"""A comparison: which methods, over which seeds, on what they have in common."""

from dataclasses import dataclass, field
from typing import Literal

from ddnn.config.fields import check, check_distinct, check_types, listed, whole_numbers
from ddnn.config.train import TrainConfig
from ddnn.errors import near

METHODS = ("alone", "pruned", "joint", "ekd", "inplace", "adn", "sampled", "cooperative")
"""What can be compared; docs/comparing.md says what each does."""

OWN_KEYS = ("seed", "objective", "output", "resume")
"""Keys of a training run that a comparison sets itself, for each of its runs."""


@dataclass(frozen=True)
class CompareConfig:
    """A comparison of methods to train the nets of one network.

    Args:
        methods: what to compare, as a list or with commas between them: alone (each net by itself), pruned (the full
            net trained alone, cut to each depth, calibrated and fine-tuned), joint, ekd, and what peers minimise:
            inplace, adn, sampled, cooperative. Differences are to alone.
        seeds: of the runs, as a list or with commas between them; two or more give intervals.
        output: the results folder; runs that are complete there are not run again. None means results/FULL-DATA.
        finetune: epochs of fine-tuning for each pruned net, as a share of the epochs; the full net that it is cut from
            has had all of them.
        score: the images to score the nets on: test, or validation, on which to choose options.
        jobs: runs at once; None means one a core, or on GPUs one each, or three for images of up to 64 pixels.
        train: what all runs have in common. `seed`, `objective`, `output` and `resume` are set for each.
    """

    methods: list[str] | str = "alone,pruned,joint,ekd"
    seeds: list[int] | int | str = "0,1,2"
    output: str | None = None
    finetune: float = 0.3
    score: Literal["test", "validation"] = "test"
    jobs: int | None = None
    train: TrainConfig = field(default_factory=TrainConfig)

    def __post_init__(self) -> None:
        check_types(self)
        for method in self.method_list:
            check(method in METHODS, f"there is no method {method!r}; {near(method, METHODS)}")
        check_distinct("methods", self.method_list, f"choose from {', '.join(METHODS)}")
        check_distinct("seeds", self.seed_list, "give one or more, such as 0,1,2")
        check(all(0 <= seed < 2**32 for seed in self.seed_list), f"seeds must be in [0, 2^32), not {self.seeds}")
        check(0 < self.finetune <= 1, f"finetune must be a share of the epochs in (0, 1], not {self.finetune}")
        check(self.jobs is None or self.jobs >= 1, f"jobs must be at least 1, not {self.jobs}")
        default = TrainConfig()
        for key in OWN_KEYS:
            check(
                getattr(self.train, key) == getattr(default, key),
                f"{key} is set by the comparison for each run; leave it out",
            )

    @property
    def method_list(self) -> list[str]:
        """The methods, in the order given."""
        return listed(self.methods)

    @property
    def seed_list(self) -> list[int]:
        """The seeds, in the order given."""
        return whole_numbers("seeds", self.seeds, "0,1,2")
