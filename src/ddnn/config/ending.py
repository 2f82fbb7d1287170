"""How a run makes up for rare classes, and with which of its epochs it ends."""

from dataclasses import dataclass
from typing import Literal

from ddnn.config.given import Given
from ddnn.config.limits import Count, FiniteWeight
from ddnn.config.views import ViewsConfig
from ddnn_runtime.configuration import check

BEST = "best:"
MEAN = "mean"


@dataclass(frozen=True)
class EndingConfig(Given, ViewsConfig):
    """What rare classes count, and which epoch is kept. The fields of `DataConfig` and `ViewsConfig` come first.

    Args:
        class_weights: what an image counts in each cross-entropy, by its class: none, all the same; balanced, in
            inverse proportion to how many training images its class has, 1 on average over all images; or a mapping
            from names of classes to weights, 1 for the others.
        keep: which epoch's network is scored and saved: last; or best:mean, the one with the highest mean of all nets'
            accuracies on the validation images; or best:NAME, the one in which that net is the most accurate.
        patience: end the run when so many epochs in a row have not been better than the best one before, by what keep
            names, or else by the mean; None trains all epochs.
    """

    class_weights: dict[str, FiniteWeight] | Literal["none", "balanced"] = "none"
    keep: str = "last"
    patience: Count | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check(
            self.keep == "last" or (str(self.keep).startswith(BEST) and str(self.keep) != BEST),
            f"keep must be last, best:mean, or best:NAME with the name of a net, not {self.keep!r}",
        )
        check(
            self.class_weights != "balanced" or self.sampler != "balanced",
            "class_weights balanced and sampler balanced exclude each other: both make up for rare classes, and "
            "together they would do it twice; leave one of the two out",
        )
        weights = self.class_weights
        check(
            isinstance(weights, str) or any(weight > 0 for weight in weights.values()) or not weights,
            "class_weights are all 0, so that nothing would be learned; give a weight above 0",
        )

    @property
    def watched(self) -> str:
        """By what epochs are compared: the name of a net, or mean."""
        return self.keep.removeprefix(BEST) if self.keep != "last" else MEAN
