"""What a network must know of the data that it was trained on.

Stored with the network, so that whoever opens it can prepare an image and name a class without the data set.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.geometry import LARGEST_SIDE
from ddnn_runtime.reading import AS_SHOWN, BEFORE, Reading
from ddnn_runtime.untrusted import MOST, count, known, listed, mapping, number, text

_MOST_CHANNELS = 1000


@dataclass(frozen=True)
class DataSpec:
    """Image size, normalisation statistics and class names of a data set.

    Args:
        channels: 1 (grey) or 3 (RGB).
        size: height and width in pixels, after resizing and cropping.
        mean: per channel, of pixel values scaled to [0, 1].
        std: per channel, likewise.
        class_names: one per class, in label order.
        reading: how pictures become pixels of that size.
    """

    channels: int
    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    class_names: tuple[str, ...]
    reading: Reading = AS_SHOWN

    def __post_init__(self) -> None:
        if not len(self.mean) == len(self.std) == self.channels:
            raise DDNNError(
                f"{self.channels} channels need as many means and standard deviations, "
                f"not {len(self.mean)} and {len(self.std)}"
            )

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        return (self.channels, *self.size)

    def allowing(self, max_pixels: int | None) -> "DataSpec":
        """The same with another limit for the pixels of a picture; None leaves it."""
        return self if max_pixels is None else replace(self, reading=replace(self.reading, max_pixels=max_pixels))

    def to_json(self) -> dict[str, Any]:
        """A dictionary that `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "DataSpec":
        """Read what `to_json` wrote, maybe that of an older version, which read pictures in its own way.

        Raises:
            UnfitValueError: it is not that.
        """
        known(fields, "data", ("channels", "size", "mean", "std", "class_names"), optional=("reading",))
        channels = count(fields["channels"], "channels", 1, _MOST_CHANNELS)
        height, width = listed(fields["size"], "size", _side, 2, 2)
        return cls(
            channels=channels,
            size=(height, width),
            mean=listed(fields["mean"], "mean", number, channels, channels),
            std=listed(fields["std"], "std", _spread, channels, channels),
            class_names=listed(fields["class_names"], "class_names", text, 1, MOST),
            reading=Reading.from_json(mapping(fields["reading"], "reading")) if "reading" in fields else BEFORE,
        )


def _side(value: Any, what: str) -> int:
    return count(value, what, 1, LARGEST_SIDE)


def _spread(value: Any, what: str) -> float:
    """What numbers are divided by."""
    return number(value, what, 1e-9, 1e9)
