"""What calls of nets cost and are worth: the measured table that the policy decides by."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from itertools import accumulate, takewhile
from math import inf
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import numpy as np

from ddnn_runtime.cascade_spec import participants
from ddnn_runtime.documents import Count, Natural, Positive, Side, Text, read_document
from ddnn_runtime.errors import DDNNError, ModelFileError
from ddnn_runtime.latency import (
    FEWEST_TURNS,
    MOST_TURNS,
    WARMUP,
    Work,
    by_name,
    latencies,
    seconds_of,
    turns_for,
)
from ddnn_runtime.runtime import Runtime

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

    @cached_property
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

    @cached_property
    def slowest(self) -> float:
        """Seconds of the longest call that there is."""
        return max(max(row) for row in self.rows.values())

    def cost(self, name: str | None, images: int) -> float:
        """Seconds of a call of a net, or of the cascade (None), for so many images, 1 to `largest`: on the line between
        the sizes that were measured."""
        return self._cost(name, images)

    def quickest(self, names: tuple[str | None, ...], images: int) -> float:
        """Seconds of a call of the fastest of some nets for so many images."""
        return self._quickest(names, images)

    @cached_property
    def _cost(self) -> Callable[[str | None, int], float]:
        @lru_cache(4096)  # it is asked some times for each request that waits
        def cost(name: str | None, images: int) -> float:
            row = self.rows[name]
            assert 1 <= images <= self.largest
            place = bisect_left(self.batches, images)
            if self.batches[place] == images:
                return row[place]
            (low, high), (fast, slow) = self.batches[place - 1 : place + 1], row[place - 1 : place + 1]
            return fast + (slow - fast) * (images - low) / (high - low)

        return cost

    @cached_property
    def _quickest(self) -> Callable[[tuple[str | None, ...], int], float]:
        return lru_cache(4096)(lambda names, images: min([self.cost(name, images) for name in names]))

    def _pace(self, row: tuple[float, ...]) -> Pace:
        each = [time / size for time, size in zip(row, self.batches, strict=True)]
        enough = next(place for place, seconds in enumerate(each) if seconds <= _GAIN * min(each))
        return Pace(self.batches[enough], each[enough])


def _called(name: str | None) -> str:
    return "the cascade" if name is None else name


def measured(runtime: Runtime, largest: int, seconds: float = 10.0, workers: int = 1) -> Table:
    """Measure the nets of an export here, for batches of 1, 2, 4 and so on up to `largest`, all in turns.

    A time is the 95th percentile, as in a profile: with the median, half of the calls would end later than the policy
    believes, and so after a deadline that it thought to keep; higher percentiles need more calls than a start has time
    for. In the cascade, all images go through all nets, which is its worst case.

    Args:
        runtime: the export; its nets are opened.
        largest: most images in a call.
        seconds: for all of it; slow nets take longer, since each is called twelve times with one image at least. Sizes
            for which there is no time are taken to cost as much an image as the largest for which there is.
        workers: calls that will run at once: so many are timed together.
    """
    end, sizes = perf_counter() + seconds, _sizes(largest)
    runtime.load()
    works: dict[str, Work] = {}
    with ThreadPoolExecutor(workers) as pool:
        turn, done = 0.0, list[int]()
        for size in sizes:
            calls = {f"{name} {size}": partial(_at_once, call, pool, workers) for name, call in _calls(runtime, size)}
            each = sum(map(seconds_of, calls.values()))  # the first calls, which are slow
            if done and perf_counter() + (WARMUP + FEWEST_TURNS) * (turn + each) > end:
                break
            works, turn, done = works | calls, turn + each, [*done, size]
        turns = turns_for(works, max(0.0, end - perf_counter() - WARMUP * turn), most=MOST_TURNS)
        found = latencies(by_name(works, turns), next(iter(works)))
    rows = {name: [found[f"{name} {size}"].p95_ms / 1e3 for size in done] for name, _ in _calls(runtime, 1)}
    return _table(runtime, sizes, rows)


def from_profile(path: str | Path, runtime: Runtime, largest: int | None = None) -> Table:
    """The table of a profile that `ddnn profile EXPORT --batch_sizes 1,2,4,8,16` wrote on this device.

    Profiles know no cascades: one is taken to cost as much as all its nets, each from the images on, which is more
    than it can cost.

    Args:
        path: of `profile.json`.
        runtime: the export, with the threads that it is served with.
        largest: sizes beyond are left out; None takes all.

    Raises:
        ModelFileError: it is damaged, no profile, or of other nets.
        DDNNError: it lacks batches of one image for so many threads.
    """
    path, manifest = Path(path), runtime.manifest
    fix = f"make a new one with `ddnn profile {runtime.directory} --batch_sizes 1,2,4,8,16 --threads {runtime.threads}`"
    profile = read_document(path, _Profile, header={"kind": "ddnn profile", "format": 1}, fix=fix, closed=False)
    if profile.weights != manifest.checksum:
        raise ModelFileError(f"{path} is a profile of other nets than those in {runtime.directory}; {fix}")
    times = {
        each.condition.batch_size: each.nets
        for each in profile.measured
        if each.condition.fits(runtime) and (largest is None or each.condition.batch_size <= largest)
    }
    if 1 not in times or any(row.keys() != manifest.nets.keys() for row in times.values()):
        raise DDNNError(f"{path} has no times of these nets for one image with {runtime.threads} threads; {fix}")
    rows = {name: [times[size][name].p95_ms / 1e3 for size in sorted(times)] for name in runtime.names}
    if (cascade := manifest.cascade) is not None:
        asked = participants(runtime.names, cascade.thresholds, cascade.last)
        rows[""] = [sum(column) for column in zip(*(rows[name] for name in asked), strict=True)]
    return _table(runtime, sorted(times), rows)


@dataclass(frozen=True)
class _Condition:
    """What of a profile's condition counts here."""

    runtime: Text
    precision: Text
    batch_size: Count
    image_size: tuple[Side, Side]
    threads: Natural

    def fits(self, runtime: Runtime) -> bool:
        """Whether an export is served so."""
        found = (self.runtime, self.precision, self.image_size, self.threads)
        return found == ("onnx", runtime.manifest.precision, runtime.manifest.input_shape[1:], runtime.threads)


@dataclass(frozen=True)
class _Figures:
    p95_ms: Positive


@dataclass(frozen=True)
class _Measured:
    condition: _Condition
    nets: Mapping[Text, _Figures]


@dataclass(frozen=True)
class _Profile:
    weights: Text
    measured: Sequence[_Measured]


def _sizes(largest: int) -> list[int]:
    """1, 2, 4 and so on, and the largest."""
    return [*takewhile(lambda size: size < largest, (2**power for power in range(largest.bit_length()))), largest]


def _calls(runtime: Runtime, size: int) -> list[tuple[str, Work]]:
    """A call of each net, and of the cascade, which has no name, if there is one, with so many images."""
    images = np.random.default_rng(0).standard_normal((size, *runtime.manifest.input_shape), dtype=np.float32)
    calls: list[tuple[str, Work]] = [(name, partial(runtime, images, name)) for name in runtime.names]
    if (cascade := runtime.manifest.cascade) is not None:
        never = dict.fromkeys(cascade.thresholds, 1.0)
        calls.append(("", partial(runtime.cascade, images, never, cascade.last, cascade.boost)))
    return calls


def _at_once(call: Work, pool: ThreadPoolExecutor, times: int) -> None:
    """Calls of the same at the same time."""
    for future in [pool.submit(call) for _ in range(times)]:
        future.result()


def _table(runtime: Runtime, sizes: Sequence[int], rows: Mapping[str, Sequence[float]]) -> Table:
    """From times of the first sizes; more images never take less time."""
    full = {name: tuple(accumulate(_extended(row, sizes), max)) for name, row in rows.items()}
    cascade, nets = runtime.manifest.cascade, runtime.manifest.nets
    return Table(
        tuple(sizes),
        {name: full[name] for name in nets},
        {name: net.accuracy for name, net in nets.items()},
        full.get(""),
        None if cascade is None else cascade.expected.accuracy,
    )


def _extended(row: Sequence[float], sizes: Sequence[int]) -> list[float]:
    return [*row, *(row[-1] * size / sizes[len(row) - 1] for size in sizes[len(row) :])]
