"""What full net and sub-nets do not have in common but their weights: what they see, and what regularises them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ddnn.config.data import DataConfig
from ddnn.config.limits import Below1, Side
from ddnn_runtime.configuration import check
from ddnn_runtime.geometry import LARGEST_SIDE

_Steps = Annotated[float, Meta(gt=0, le=1, extra={"hint": "leave subnet_sizes out for none"})]


@dataclass(frozen=True)
class ViewsConfig(DataConfig):
    """How training differs for the full net and its sub-nets, for the objectives ekd and joint. The fields of
    `DataConfig` come first.

    Args:
        subnet_sizes: sides in pixels, smaller than the images, such as [24, 16]. In some steps the sub-nets see the
            images at one of these sizes (MutualNet, arXiv 1909.12978). The full net sees the images as they are. In
            these steps it shares no computation with its sub-nets; they share among themselves.
        subnet_size_share: the share of such steps; which they are follows from the seed.
        full_dropout: dropout in training before the full net's last layer; the sub-nets have none. This regularises
            the net that can overfit, as in AlphaNet (arXiv 2102.07954).
        label_smoothing_on: whose labels are smoothed: all, or full for the same reason.
    """

    subnet_sizes: list[Side] | None = None
    subnet_size_share: _Steps = 0.5
    full_dropout: Below1 = 0.0
    label_smoothing_on: Literal["all", "full"] = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        sides = self.subnet_sizes
        check(
            sides is None or (0 < len(sides) == len(set(sides))),
            f"subnet_sizes must be different sides of 4 to {LARGEST_SIDE} pixels, not {sides}",
        )
        check(
            sides is None or not self.augment.sizes,
            "subnet_sizes and augment.sizes exclude each other: both say how large images are; leave one out",
        )

    @property
    def has_views(self) -> bool:
        """Whether sub-nets see other images than the full net, in some steps at least."""
        return self.augment.subnets != "same" or self.subnet_sizes is not None

    @property
    def told_apart(self) -> tuple[str, ...]:
        """The settings by which full net and sub-nets are trained apart."""
        settings = {
            "augment.subnets": self.augment.subnets == "same",
            "subnet_sizes": self.subnet_sizes is None,
            "full_dropout": self.full_dropout == 0,
            "label_smoothing_on": self.label_smoothing_on == "all",
        }
        return tuple(name for name, neutral in settings.items() if not neutral)
