"""What calls of nets cost and are worth: the measured table that the policy decides by."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import NamedTuple

from ddnn_runtime.errors import DDNNError

_GAIN = 1.05
"""A larger batch must make an image so many times quicker: small batches keep the next urgent request waiting less."""


class Pace(NamedTuple):
    """How a net gets through many images.

    Args:
        batch: images in a call, beyond which larger batches hardly pay.
        seconds: for one image in such a call.
    """

    batch: int
    seconds: float


@dataclass(frozen=True)
class Table:
    """Seconds by net and batch size, accuracy by net.

    Args:
        batches: sizes that were measured, ascending, the first 1; no call takes more images than the last.
        seconds: of one call of each net, shallow to deep, with as many images: one number a size.
        accuracies: of each net, in [0, 1]; None where they are not known.
        cascade: seconds of a cascade, one number a size; None where an export has no calibrated one.
        cascade_accuracy: of the cascade, in [0, 1]; None where it is not known.

    Raises:
        DDNNError: if the sizes do not ascend from 1, a row has another length, or a time is not above 0.

    >>> table = Table((1, 4), {"resnet8": (0.01, 0.03), "resnet20": (0.02, 0.06)}, {"resnet8": 0.6, "resnet20": 0.7})
    >>> round(table.cost("resnet8", 2), 4), table.largest, table.paces["resnet20"]
    (0.0167, 4, Pace(batch=4, seconds=0.015))
    """

    batches: tuple[int, ...]
    seconds: Mapping[str, tuple[float, ...]]
    accuracies: Mapping[str, float | None]
    cascade: tuple[float, ...] | None = None
    cascade_accuracy: float | None = None

    def __post_init__(self) -> None:
        if self.batches[:1] != (1,) or [*self.batches] != sorted(set(self.batches)):
            raise DDNNError(f"the batch sizes of a table must ascend from 1, not {[*self.batches]}")
        if not self.seconds or self.accuracies.keys() != self.seconds.keys():
            raise DDNNError("a table needs at least one net, and an accuracy or None for each")
        for name, row in self.rows.items():
            if len(row) != len(self.batches):
                raise DDNNError(f"the table has {len(row)} times of {_called(name)} for {len(self.batches)} sizes")
            if not all(0 < time < inf for time in row):
                raise DDNNError(f"the times of {_called(name)} must be finite and above 0, not {[*row]}")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All nets, shallow to deep; the full net is the last."""
        return tuple(self.seconds)

    @property
    def largest(self) -> int:
        """The most images in a call."""
        return self.batches[-1]

    @cached_property
    def rows(self) -> Mapping[str | None, tuple[float, ...]]:
        """The times of each net, and of the cascade (None) if there is one."""
        return {**self.seconds, **({} if self.cascade is None else {None: self.cascade})}

    @cached_property
    def paces(self) -> Mapping[str | None, Pace]:
        """Of each net, and of the cascade (None)."""
        return {name: self._pace(row) for name, row in self.rows.items()}

    @cached_property
    def seconds_an_image(self) -> float:
        """At the most that this machine carries: large batches of the fastest net."""
        return min(time / size for row in self.seconds.values() for time, size in zip(row, self.batches, strict=True))

    @cached_property
    def worth(self) -> Mapping[str | None, float]:
        """What nets are compared by: accuracy, or place in the order of depth where one is not known; the cascade's,
        which is never compared with a net, is 0."""
        known = {name: accuracy for name, accuracy in self.accuracies.items() if accuracy is not None}
        places = {name: float(place) for place, name in enumerate(self.names)}
        return {None: 0.0, **(known if len(known) == len(places) else places)}

    def cost(self, name: str | None, images: int) -> float:
        """Seconds of a call of a net, or of the cascade (None), for so many images, 1 to `largest`: on the line between
        the sizes that were measured."""
        row = self.rows[name]
        assert 1 <= images <= self.largest
        place = bisect_left(self.batches, images)
        if self.batches[place] == images:
            return row[place]
        (low, high), (fast, slow) = self.batches[place - 1 : place + 1], row[place - 1 : place + 1]
        return fast + (slow - fast) * (images - low) / (high - low)

    def _pace(self, row: tuple[float, ...]) -> Pace:
        each = [time / size for time, size in zip(row, self.batches, strict=True)]
        enough = next(place for place, seconds in enumerate(each) if seconds <= _GAIN * min(each))
        return Pace(self.batches[enough], each[enough])


def _called(name: str | None) -> str:
    return "the cascade" if name is None else name
