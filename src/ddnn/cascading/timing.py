"""Milliseconds: of the pieces, to calibrate with; of nets and cascades on real images, to report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean

from torch import Tensor

from ddnn.cascading.costs import Costs
from ddnn.engines import Engine
from ddnn.measuring.intervals import mean_interval
from ddnn_runtime.latency import Work, by_name, interleaved_for, turns_for

Call = Callable[[Tensor], object]

_ALL = "all"


def piece_latencies(engine: Engine, images: Tensor, seconds: float) -> Costs:
    """What each piece costs in milliseconds an image, the mean over as many turns as the time allows.

    What a cascade does between the pieces (decide, take the images that are left) is what a cascade through all nets
    takes longer than all pieces together.

    Args:
        engine: what runs.
        images: a batch as it will come, (batch, channels, height, width).
        seconds: for all of it.
    """
    *asked, last = engine.names
    never = partial(engine.cascade, images, dict.fromkeys(asked, 1.0), last)
    pieces = engine.piece_works(images)
    works: dict[str, Work] = {str(number): work for number, (_, work) in enumerate(pieces)}
    taken = interleaved_for({**works, _ALL: never}, seconds, engine.wait)
    cost = {name: 1e3 * mean(times) / len(images) for name, times in taken.items()}
    between = cost.pop(_ALL) - sum(cost.values())
    deciding = max(0.0, between) / len(asked) if asked else 0.0
    return Costs("ms", tuple((nets, cost[str(number)]) for number, (nets, _) in enumerate(pieces)), deciding)


@dataclass(frozen=True)
class Timed:
    """How long an image took, on average over many.

    Args:
        ms: milliseconds of an image.
        plus_minus: a 95 % interval of it.
        turns: how many batches were timed.
    """

    ms: float
    plus_minus: float
    turns: int


class Timings:
    """Times of several calls on the same images.

    Args:
        seconds: of each call for each batch, in the order of the batches.
        batch_size: images in a batch.
    """

    def __init__(self, seconds: Mapping[str, Sequence[float]], batch_size: int) -> None:
        self._seconds, self._batch_size = seconds, batch_size

    def __getitem__(self, name: str) -> Timed:
        taken = self._seconds[name]
        scale = 1e3 / self._batch_size
        return Timed(scale * mean(taken), scale * _plus_minus(taken), len(taken))

    def ratio(self, one: str, other: str) -> tuple[float, float]:
        """Mean time of one over that of another, and a 95 % interval of it.

        Both took the same images in the same turns. The interval is that of a ratio of means (Cochran, Sampling
        Techniques, 1977, section 2.11), which scipy has by resampling alone: that of the mean of what a line through
        the origin leaves, over the mean of the other.
        """
        times, base = self._seconds[one], self._seconds[other]
        ratio = mean(times) / mean(base)
        rest = [a - ratio * b for a, b in zip(times, base, strict=True)]
        return ratio, _plus_minus(rest) / mean(base)


def _plus_minus(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean."""
    low, high = mean_interval(values)
    return (high - low) / 2


def time_calls(
    calls: Mapping[str, Call], batches: Sequence[Tensor], seconds: float, wait: Callable[[], None]
) -> Timings:
    """Time calls on one batch after the other, each batch by all of them, until the time is over.

    Args:
        calls: by name.
        batches: real images, of equal sizes, since how long a cascade takes depends on them; they are gone through
            again if there is time.
        seconds: at least `FEWEST_TURNS` batches are timed.
        wait: returns when all that was asked of a GPU is done.
    """
    place = 0
    works = {name: (lambda call=call: call(batches[place % len(batches)])) for name, call in calls.items()}
    taken: list[dict[str, float]] = []
    for turn in turns_for(works, seconds, wait):
        taken.append(turn)
        place += 1
    return Timings(by_name(calls, taken), len(batches[0]))
