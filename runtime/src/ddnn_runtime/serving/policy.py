"""Which requests are answered next, and by which net: pure functions of the queue, the table and the time.

`slackfit` is SlackFit of SuperServe (Khare et al., NSDI 2025, arXiv 2312.16733) in our own words. The *slack* of a
request is what is left until its deadline. The queue is ordered by deadline, and when a worker is free, the slack of
the most urgent request limits which nets in which batches still answer it in time; the most accurate of them is taken.
Ours looks at the queue behind it, too: a net is taken only if the others can still be answered in time at its pace.

A request without a deadline gets the best net that it may have, and goes after those that have one. So that it does not
starve, it is ordered as if it were due `PATIENCE` after it came: then it goes before all that is due later. Only
finitely many requests are due before that, since deadlines lie after arrivals.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from ddnn_runtime.errors import DDNNError, near
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.settings import ServeConfig
from ddnn_runtime.serving.table import Table

PATIENCE = 5.0
"""Seconds after which a request without a deadline goes before those that are due later."""


@dataclass(frozen=True)
class Decision:
    """What a free worker does.

    Args:
        requests: what it takes from the queue, in the order of the batch.
        subnet: the net that answers them; None means the cascade.
    """

    requests: tuple[Request, ...]
    subnet: str | None


Policy: TypeAlias = Callable[[Sequence[Request], Table, float], Decision]
"""Takes a queue that is not empty and ordered by urgency, the table, and the time; gives what to do next.

Each request of the queue has a net that it is allowed, and no more images than a call takes."""


def allowed(request: Request, table: Table) -> tuple[str | None, ...]:
    """The nets that may answer a request, shallow to deep; (None,) for a cascade.

    Empty where the client asks for more than there is: a net that is not there, a cascade that was not calibrated, or
    an accuracy that no net has or that is not known.
    """
    if request.cascade:
        return (None,) if table.cascade is not None and _accurate(table.cascade_accuracy, request) else ()
    if request.subnet is None:
        if not request.least_accuracy:
            return table.names
        return tuple(name for name in table.names if _accurate(table.accuracies[name], request))
    known = request.subnet in table.seconds and _accurate(table.accuracies[request.subnet], request)
    return (request.subnet,) if known else ()


def _accurate(accuracy: float | None, request: Request) -> bool:
    return request.least_accuracy <= (0.0 if accuracy is None else accuracy)


def quickest(request: Request, table: Table) -> float:
    """Seconds of a call with this request alone, by the fastest net that may answer it; there must be one."""
    return min(table.cost(name, request.images) for name in allowed(request, table))


def soonest(request: Request, queue: Sequence[Request], table: Table, free: float) -> float:
    """When a request could be answered at the very best: who is told so may refuse it at once.

    Args:
        request: not in the queue yet, or in it.
        queue: what waits, ordered by urgency; those that are more urgent go first, as fast as nets can.
        table: what calls cost.
        free: when the next worker is free; now, if one is.
    """
    place = bisect_left(queue, request.urgency, key=lambda other: other.urgency)
    ahead = sum([other.images for other in queue[:place]])
    return free + ahead * table.seconds_an_image + quickest(request, table)


def slackfit(workers: int = 1, look: str = "same", spare: float = 1.0) -> Policy:
    """The most accurate net that answers the most urgent request, and lets the others be answered, in time.

    Args:
        workers: calls that run at once: the queue is emptied so many times as fast.
    """

    def decide(queue: Sequence[Request], table: Table, now: float) -> Decision:
        order = _by_due(queue)
        head = order[0]
        names = allowed(head, table)
        if head.deadline - now < min([table.cost(name, head.images) for name in names]):
            return Decision(_batch(order, names[0], table, now), names[0])
        for name in sorted(names, key=table.worth.__getitem__, reverse=True):
            if now + table.cost(name, head.images) > head.deadline:
                continue
            batch = _batch(order, name, table, now)
            if _rest_in_time(order, batch, name, table, now, workers, look, spare):
                return Decision(batch, name)
        name = min(names, key=lambda name: table.paces[name].seconds)
        return Decision(_batch(order, name, table, now), name)

    return decide


def _by_due(queue: Sequence[Request]) -> Sequence[Request]:
    """What goes first: a request without a deadline is due when the patience ends."""
    if queue[-1].deadline < inf or queue[0].deadline == inf:
        return queue
    return sorted(queue, key=_due)


def _due(request: Request) -> float:
    return request.arrived + PATIENCE if request.deadline == inf else request.deadline


def _batch(order: Sequence[Request], name: str | None, table: Table, now: float) -> tuple[Request, ...]:
    """The first of the requests that this net may answer, as long as none of them gets late by it."""
    batch, images, latest = [], 0, inf
    for request in order:
        names = allowed(request, table)
        if name not in names or (batch and request.deadline == inf and name != _best(names, table)):
            continue
        images += request.images
        if batch and images > table.paces[name].batch:
            break
        if request.deadline - now >= min([table.cost(each, request.images) for each in names]):
            latest = min(latest, request.deadline)  # the others are late anyway
        if batch and now + table.cost(name, images) > latest:
            break
        batch.append(request)
    return tuple(batch)


def _best(names: Iterable[str | None], table: Table) -> str | None:
    return max(names, key=table.worth.__getitem__)


def _rest_in_time(
    order: Sequence[Request],
    batch: Sequence[Request],
    name: str | None,
    table: Table,
    now: float,
    workers: int,
    look: str,
    spare: float,
) -> bool:
    if look == "head":
        return True
    images = sum([request.images for request in batch])
    end = now + table.cost(name, images)
    ends = now + (end - now) / workers
    taken = {request.number for request in batch}
    pace = (table.seconds_an_image if look == "quickest" else table.paces[name].seconds) / workers
    for request in order:
        if request.number in taken:
            continue
        ends += pace * request.images
        if now + (ends - now) * spare > request.deadline:
            return False
    return True


def fixed(name: str) -> Policy:
    """Baseline: one net answers all that do not ask for others; those get the most accurate that they may have."""

    def decide(queue: Sequence[Request], table: Table, now: float) -> Decision:
        order = _by_due(queue)
        names = allowed(order[0], table)
        net = name if name in names else _best(names, table)
        return Decision(_batch(order, net, table, now), net)

    return decide


def client() -> Policy:
    """Baseline: the net that a request names answers it, else the full net, or the best that the request may have."""

    def decide(queue: Sequence[Request], table: Table, now: float) -> Decision:
        return fixed(table.names[-1])(queue, table, now)

    return decide


def _fixed_of(config: ServeConfig, table: Table) -> Policy:
    name = table.names[-1] if config.subnet is None else config.subnet
    if name not in table.seconds:
        raise DDNNError(f"there is no sub-net {name!r} that could answer all; {near(name, table.names)}")
    return fixed(name)


POLICIES: Mapping[str, Callable[[ServeConfig, Table], Policy]] = {
    "slackfit": lambda config, table: slackfit(config.workers),
    "fixed": _fixed_of,
    "client": lambda config, table: client(),
}
"""What `ServeConfig.policy` may be, and how each is made."""


def policy_of(config: ServeConfig, table: Table) -> Policy:
    """The policy that a configuration names.

    Raises:
        DDNNError: if it names a net that is not in the table.
    """
    return POLICIES[config.policy](config, table)
