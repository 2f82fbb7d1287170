"""What full net and sub-nets do not have in common but their weights: what they see, and what regularises them."""

from dataclasses import dataclass
from typing import Annotated, Literal

from msgspec import Meta

from ddnn.config.data import DataConfig
from ddnn.config.fields import check
from ddnn.config.limits import Below1, Side
from ddnn.formats.geometry import LARGEST_SIDE

_Steps = Annotated[float, Meta(gt=0, le=1, extra={"hint": "leave subnet_sizes out for none"})]


@dataclass(frozen=True)
class ViewsConfig(DataConfig):
    """How training differs for the full net and its sub-nets, for the objectives ekd and joint. The fields of
    `DataConfig` come first.

    Args:
        subnet_sizes: sides in pixels, smaller than the images, of which sub-nets see one in some of the steps, such as
            [24, 16] (MutualNet, arXiv 1909.12978). In those, the full net sees the images as they are and shares no
            computation with its sub-nets, which share among themselves.
        subnet_size_share: the share of such steps; which they are follows from the seed.
        full_dropout: share of what goes into the full net's last layer that is dropped in training; the sub-nets drop
            nothing. This regularises the net that can overfit, as in AlphaNet (arXiv 2102.07954).
        label_smoothing_on: the labels of which nets are smoothed: all, or for the same reason those of the full net.
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
