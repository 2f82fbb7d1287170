"""What calls of nets cost and are worth: the measured table that the policy decides by."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass

from ddnn_runtime.errors import DDNNError


@dataclass(frozen=True)
class Table:
    """Seconds by net and batch size, accuracy by net.

    Args:
        batches: sizes that were measured, ascending, the first 1; no call takes more images than the last.
        seconds: of one call of each net, shallow to deep, with as many images: one number a size.
        accuracies: of each net, in [0, 1]; None where they are not known.
        cascade: seconds of a cascade, one number a size; None where an export has no calibrated one.

    Raises:
        DDNNError: if the sizes do not ascend from 1, or a row has another length.

    >>> table = Table((1, 4), {"resnet8": (0.01, 0.03), "resnet20": (0.02, 0.06)}, {"resnet8": 0.6, "resnet20": 0.7})
    >>> round(table.cost("resnet8", 2), 4), table.largest
    (0.0167, 4)
    """

    batches: tuple[int, ...]
    seconds: Mapping[str, tuple[float, ...]]
    accuracies: Mapping[str, float | None]
    cascade: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.batches[:1] != (1,) or [*self.batches] != sorted(set(self.batches)):
            raise DDNNError(f"the batch sizes of a table must ascend from 1, not {[*self.batches]}")
        for name, row in self.seconds.items():
            if len(row) != len(self.batches):
                raise DDNNError(f"the table has {len(row)} times of {name} for {len(self.batches)} batch sizes")

    @property
    def names(self) -> tuple[str, ...]:
        """All nets, shallow to deep; the full net is the last."""
        return tuple(self.seconds)

    @property
    def largest(self) -> int:
        """The most images in a call."""
        return self.batches[-1]

    @property
    def seconds_an_image(self) -> float:
        """At the most that this machine carries: large batches of the fastest net."""
        return min(time / size for row in self.seconds.values() for time, size in zip(row, self.batches, strict=True))

    def cost(self, name: str | None, images: int) -> float:
        """Seconds of a call of a net, or of the cascade (None), for so many images, 1 to `largest`: on the line between
        the sizes that were measured."""
        row = self.cascade if name is None else self.seconds[name]
        assert row is not None
        assert 1 <= images <= self.largest
        place = bisect_left(self.batches, images)
        if self.batches[place] == images:
            return row[place]
        (low, high), (fast, slow) = self.batches[place - 1 : place + 1], row[place - 1 : place + 1]
        return fast + (slow - fast) * (images - low) / (high - low)
