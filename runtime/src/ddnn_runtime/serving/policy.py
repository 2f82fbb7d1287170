"""Which requests are answered next, and by which net: pure functions of the queue, the table and the time.

`slackfit` is SlackFit of SuperServe (Khare et al., NSDI 2025, arXiv 2312.16733) in our own words. The *slack* of a
request is what is left until its deadline. The queue is ordered by deadline, and when a worker is free, the slack of
the most urgent request limits which nets in which batches still answer it in time; the most accurate of them is taken.
Ours looks at the queue behind it, too: a net is taken only if the others can still be answered in time at its pace.

A request without a deadline gets the best net that it may have, and goes after those that have one; so does a request
that no net can answer in time any more, after those that can be. So that these do not starve, they go before all
others when they have waited for `PATIENCE`, in the order in which they came.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeAlias

from ddnn_runtime.errors import DDNNError, near
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.settings import ServeConfig
from ddnn_runtime.serving.table import Table

PATIENCE = 5.0
"""Seconds after which a request that has no deadline, or is late, goes before all others."""

SPARE = 0.8
"""Share of the time until a deadline that is planned with; the rest is for requests that are still to come, and for
calls that take longer than the table says. docs/experiments.md has what other shares do."""


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
    return table.quickest(allowed(request, table), request.images)


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


def hopeless(queue: Sequence[Request], table: Table, now: float) -> list[Request]:
    """Those of a queue, ordered by urgency, that no net can answer in time any more, not even at once."""
    end = bisect_right(queue, now + table.slowest, key=lambda request: request.deadline)
    return [request for request in queue[:end] if quickest(request, table) > request.slack(now)]


def slackfit(workers: int = 1) -> Policy:
    """The most accurate net that answers the most urgent request in time, and lets the others be.

    Where no net does both, the one that empties the queue fastest answers. Who is late with any net, goes after those
    that are not, and the shallowest net that it is allowed answers.

    Args:
        workers: calls that run at once: the queue is emptied so many times as fast.
    """

    def decide(queue: Sequence[Request], table: Table, now: float) -> Decision:
        late = hopeless(queue, table, now)
        order = _order(queue, late, now)
        head, names = order[0], allowed(order[0], table)
        fitting = [name for name in names if table.cost(name, head.images) <= head.slack(now)]
        for name in () if late else sorted(fitting, key=table.worth.__getitem__, reverse=True):
            batch = _punctual(_joining(order, name, table), name, table, now)
            if _leaves_time(batch, order, name, table, SPARE * workers, now):
                return Decision(batch, name)
        name = min(fitting, key=lambda name: table.paces[name].seconds) if fitting else names[0]
        form = _most if fitting else _punctual
        return Decision(form(_joining(order, name, table), name, table, now), name)

    return decide


def fixed(name: str) -> Policy:
    """Baseline: one net answers all that it may; a request that asks for others gets the best that it may have."""

    def decide(queue: Sequence[Request], table: Table, now: float) -> Decision:
        order = _order(queue, hopeless(queue, table, now), now)
        names = allowed(order[0], table)
        net = name if name in names else _best(names, table)
        return Decision(_most(order, net, table, now), net)

    return decide


def client(queue: Sequence[Request], table: Table, now: float) -> Decision:
    """Baseline: the net that a request names, else the full net, or the best that the request may have."""
    return fixed(table.names[-1])(queue, table, now)


def _order(queue: Sequence[Request], late: Sequence[Request], now: float) -> Sequence[Request]:
    """Who goes first: the most urgent who can be in time; then who is late; then who has no deadline.

    The latter two go before all others when they have waited out the patience.
    """
    place = bisect_left(queue, inf, key=lambda request: request.deadline)
    if not late and (place == 0 or all(now < request.arrived + PATIENCE for request in queue[place : place + 1])):
        return queue
    numbers = {request.number for request in late}

    def rank(request: Request) -> tuple[int, float, int]:
        if request.deadline < inf and request.number not in numbers:
            return 1, *request.urgency
        waited_out = now >= request.arrived + PATIENCE
        return (0 if waited_out else 2 if request.deadline < inf else 3), request.arrived, request.number

    return sorted(queue, key=rank)


def _best(names: Iterable[str | None], table: Table) -> str | None:
    return max(names, key=table.worth.__getitem__)


def _joining(order: Sequence[Request], name: str | None, table: Table) -> Sequence[Request]:
    """Who may be in a batch with the first: not who has no deadline, and can wait for a better net."""
    if order[-1].deadline < inf:
        return order
    head = order[0]
    return [
        request
        for request in order
        if request.deadline < inf or request is head or name == _best(allowed(request, table), table)
    ]


def _filled(order: Iterable[Request], name: str | None, table: Table) -> list[Request]:
    """A batch of those that this net may answer: the first, and others as long as larger batches pay."""
    batch, images = list[Request](), 0
    for request in order:
        if name in allowed(request, table):
            images += request.images
            if batch and images > table.paces[name].batch:
                break
            batch.append(request)
    return batch


def _punctual(order: Iterable[Request], name: str | None, table: Table, now: float) -> tuple[Request, ...]:
    """A batch of as many, from the first on, as there can be without one getting late because of the others."""
    batch, images, latest = _filled(order, name, table), 0, inf
    for place, request in enumerate(batch):
        images += request.images
        if quickest(request, table) <= request.slack(now):  # else it is late anyway
            latest = min(latest, request.deadline)
        if place and now + table.cost(name, images) > latest:
            return tuple(batch[:place])
    return tuple(batch)


def _most(order: Sequence[Request], name: str | None, table: Table, now: float) -> tuple[Request, ...]:
    """The largest batch of which nobody gets late: without the most urgent, where they allow only a smaller one.

    Small batches for those who have hardly any time left would make all that wait behind them as late.
    """
    batch = _punctual(order, name, table, now)
    full = _images(_filled(order, name, table))
    if _images(batch) == full:
        return batch
    end = now + table.cost(name, full)
    others = _punctual((request for request in order if end <= request.deadline < inf), name, table, now)
    return max(batch, others, key=_images)


def _images(batch: Iterable[Request]) -> int:
    return sum([request.images for request in batch])


def _leaves_time(
    batch: Sequence[Request], order: Sequence[Request], name: str | None, table: Table, speed: float, now: float
) -> bool:
    """Whether all that is not in the batch can be answered in time after it, by this net, at so many times its pace."""
    taken = {request.number for request in batch}
    seconds, pace = table.cost(name, _images(batch)) / speed, table.paces[name].seconds / speed
    for request in order:
        if request.number not in taken:
            seconds += pace * request.images
            if now + seconds > request.deadline:
                return False
    return True


def _fixed_of(config: ServeConfig, table: Table) -> Policy:
    name = table.names[-1] if config.subnet is None else config.subnet
    if name not in table.seconds:
        raise DDNNError(f"there is no sub-net {name!r} that could answer all; {near(name, table.names)}")
    return fixed(name)


POLICIES: Mapping[str, Callable[[ServeConfig, Table], Policy]] = {
    "slackfit": lambda config, table: slackfit(config.workers),
    "fixed": _fixed_of,
    "client": lambda config, table: client,
}
"""What `ServeConfig.policy` may be, and how each is made."""


def policy_of(config: ServeConfig, table: Table) -> Policy:
    """The policy that a configuration names.

    Raises:
        DDNNError: if it names a net that is not in the table.
    """
    return POLICIES[config.policy](config, table)
