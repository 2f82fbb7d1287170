"""What a network must know of the data that it was trained on.

Stored with the network, so that whoever opens it can prepare an image and name a class without the data set.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any

from msgspec import Meta

from ddnn_runtime.documents import Finite, Side, Text
from ddnn_runtime.errors import DDNNError
from ddnn_runtime.reading import AS_SHOWN, BEFORE, Reading
from ddnn_runtime.schema import hints_of, misfit, typed

_MOST_CHANNELS = 1000
_Spread = Annotated[float, Meta(ge=1e-9, le=1e9, description="a finite number from 1e-9 to 1e9")]
"""What numbers are divided by."""


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

    channels: Annotated[int, Meta(ge=1, le=_MOST_CHANNELS)]
    size: tuple[Side, Side]
    mean: tuple[Finite, ...]
    std: tuple[_Spread, ...]
    class_names: Annotated[tuple[Text, ...], Meta(min_length=1)]
    reading: Reading = AS_SHOWN

    def __post_init__(self) -> None:
        for name, hint in hints_of(type(self)).items():
            if wrong := misfit(getattr(self, name), hint, name):
                raise DDNNError(wrong)
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
        """Read what `to_json` wrote, maybe that of an older version.

        Raises:
            UnfitValueError: it is not that.
        """
        return typed(_with_reading(fields), cls, "data")


def of_any_version(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a document says, completed where an older version had no word for how the pictures of its `data` are read.

    >>> of_any_version({"data": {"channels": 3}})["data"]["reading"]["orientation"]
    'stored'
    """
    data = values.get("data")
    return {**values, "data": _with_reading(data)} if isinstance(data, Mapping) else dict(values)


def _with_reading(data: Mapping[str, Any]) -> dict[str, Any]:
    return {"reading": asdict(BEFORE), **data}
