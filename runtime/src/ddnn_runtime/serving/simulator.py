"""What a policy would do with a trace of arrivals, without a net and without waiting: for choosing between policies.

The queue, its admission and its workers are those of `batcher`; a call takes as long as the table says.
"""

from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Any, Literal

import numpy as np

from ddnn_runtime.serving.policy import Policy, allowed, hopeless, soonest
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.table import Table

CASCADE = "cascade"
"""What the cascade is called in counts of nets."""


@dataclass(frozen=True)
class Outcome:
    """What became of a request.

    Args:
        request: which.
        subnet: the net that answered; None for the cascade, and where there is no answer.
        began: when its call began; None if it was refused.
        ended: when its answer was there, or when it was refused.
        batch: images in its call; 0 if it was refused.
    """

    request: Request
    subnet: str | None
    began: float | None
    ended: float
    batch: int

    @property
    def in_time(self) -> bool:
        """Whether there is an answer, and not after the deadline."""
        return self.began is not None and self.ended <= self.request.deadline


@dataclass(frozen=True)
class Report:
    """What a policy made of a trace; shares and accuracies in [0, 1], times in seconds.

    Args:
        requests: how many came.
        answered: requests that got an answer, late ones included.
        refused: requests that got none.
        attained: requests with a deadline that were answered in time, over all with a deadline; 1 if there is none.
        accuracy: expected of an image that was answered; None where an accuracy is not known, or nothing was answered.
        accuracy_of_all: likewise of all images that came: one without an answer, or a late one, is wrong.
        waited: in the queue, of those that were answered: mean, and the 50th, 95th and 99th percentile.
        images: answered by each net.
        batch: mean images of a call.
    """

    requests: int
    answered: int
    refused: int
    attained: float
    accuracy: float | None
    accuracy_of_all: float | None
    waited: dict[str, float]
    images: dict[str, int]
    batch: float

    def to_json(self) -> dict[str, Any]:
        """For files."""
        return dict(vars(self))


def simulate(
    trace: Iterable[Request],
    policy: Policy,
    table: Table,
    *,
    workers: int = 1,
    most: int = 1024,
    late: Literal["refuse", "shallowest"] = "refuse",
    seconds: Callable[[str | None, int], float] | None = None,
) -> list[Outcome]:
    """Run a trace through a policy.

    Args:
        trace: requests in the order in which they come.
        policy: forms batches and picks nets.
        table: what the policy, and admission, believe of calls.
        workers: calls that run at once.
        most: images that may wait; a request beyond them is refused.
        late: what becomes of a request whose deadline cannot be met; see `ServeConfig`.
        seconds: what a call of a net (None: the cascade) with so many images takes in truth; None means what the table
            says.

    Returns:
        One outcome a request, in the order in which they ended.
    """
    run = _Run(policy, table, workers, most, late == "refuse", seconds or table.cost)
    for request in trace:
        run.until(request.arrived)
        run.arrive(request)
    run.until(inf)
    return run.outcomes


class _Run:
    """The state of a simulation."""

    def __init__(
        self,
        policy: Policy,
        table: Table,
        workers: int,
        most: int,
        refusing: bool,
        seconds: Callable[[str | None, int], float],
    ) -> None:
        self.outcomes: list[Outcome] = []
        self._policy, self._table, self._most, self._refusing = policy, table, most, refusing
        self._seconds = seconds
        self._queue: list[Request] = []
        self._waiting = 0
        self._latest = 0.0  # arrival
        self._free = [(-inf, -inf)] * workers  # when each worker is, the next first; and when the table says that it is

    def until(self, time: float) -> None:
        """All that begins before a time."""
        while self._queue and self._free[0][0] < time:
            now = max(heappop(self._free)[0], self._latest)
            heappush(self._free, self._begin(now))

    def arrive(self, request: Request) -> None:
        """A request comes: it waits, or is refused; a free worker looks at once."""
        now = self._latest = request.arrived
        if not self._admitted(request, now):
            self._refuse(request, now)
            return
        insort(self._queue, request, key=lambda other: other.urgency)
        self._waiting += request.images

    def _admitted(self, request: Request, now: float) -> bool:
        if request.images > self._table.largest or not allowed(request, self._table):
            return False
        if self._waiting + request.images > self._most:
            return False
        if not self._refusing:
            return True
        free = now if self._free[0][0] <= now else max(now, min(believed for _, believed in self._free))
        return soonest(request, self._queue, self._table, free) <= request.deadline

    def _begin(self, now: float) -> tuple[float, float]:
        """A free worker takes a batch; when it is free again, in truth and by the table."""
        if self._refusing:
            self._refuse_late(now)
        if not self._queue:
            return now, now
        decision = self._policy(self._queue, self._table, now)
        images = sum([request.images for request in decision.requests])
        ended = now + self._seconds(decision.subnet, images)
        self._take(decision.requests)
        self.outcomes += [Outcome(request, decision.subnet, now, ended, images) for request in decision.requests]
        return ended, now + self._table.cost(decision.subnet, images)

    def _refuse_late(self, now: float) -> None:
        late = hopeless(self._queue, self._table, now)
        self._take(late)
        for request in late:
            self._refuse(request, now)

    def _take(self, requests: Sequence[Request]) -> None:
        taken = {request.number for request in requests}
        if taken:
            self._queue = [request for request in self._queue if request.number not in taken]
            self._waiting -= sum([request.images for request in requests])

    def _refuse(self, request: Request, now: float) -> None:
        self.outcomes.append(Outcome(request, None, None, now, 0))


def report(outcomes: Sequence[Outcome], table: Table) -> Report:
    """What `simulate` gave, in figures.

    Args:
        outcomes: of one trace.
        table: for the accuracies.
    """
    answered = [outcome for outcome in outcomes if outcome.began is not None]
    hurried = [outcome for outcome in outcomes if outcome.request.deadline < inf]
    waited = [outcome.began - outcome.request.arrived for outcome in answered if outcome.began is not None]
    images = Counter[str]()
    for outcome in answered:
        images[outcome.subnet or CASCADE] += outcome.request.images
    calls = sum(outcome.request.images / outcome.batch for outcome in answered)
    return Report(
        requests=len(outcomes),
        answered=len(answered),
        refused=len(outcomes) - len(answered),
        attained=sum(outcome.in_time for outcome in hurried) / len(hurried) if hurried else 1.0,
        accuracy=_accuracy(answered, answered, table),
        accuracy_of_all=_accuracy([outcome for outcome in answered if outcome.in_time], outcomes, table),
        waited=_waited(waited),
        images={name: images[name] for name in (*table.names, CASCADE) if images[name]},
        batch=sum(images.values()) / calls if calls else 0.0,
    )


def _accuracy(right: Sequence[Outcome], among: Sequence[Outcome], table: Table) -> float | None:
    """Expected over the images of some, if only others among them are answered at all."""
    known = [_accuracy_of(outcome, table) for outcome in right]
    images = sum(outcome.request.images for outcome in among)
    if None in known or not images:
        return None
    return sum((a or 0.0) * outcome.request.images for a, outcome in zip(known, right, strict=True)) / images


def _accuracy_of(outcome: Outcome, table: Table) -> float | None:
    return table.cascade_accuracy if outcome.subnet is None else table.accuracies[outcome.subnet]


def _waited(seconds: Sequence[float]) -> dict[str, float]:
    if not seconds:
        return {"mean": 0.0, "p50": 0.0, "p95": 0.0, "p99": 0.0}
    found = np.quantile(seconds, [0.5, 0.95, 0.99])
    return {"mean": float(np.mean(seconds)), **dict(zip(("p50", "p95", "p99"), map(float, found), strict=True))}
