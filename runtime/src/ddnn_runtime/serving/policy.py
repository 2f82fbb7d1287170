"""Which requests are answered next, and by which net: pure functions of the queue, the table and the time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.table import Table


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
"""Takes a queue that is not empty and ordered by urgency, the table, and the time; gives what to do next."""


def allowed(request: Request, table: Table) -> tuple[str | None, ...]:
    """The nets that may answer a request, shallow to deep; (None,) for a cascade.

    Empty where the client asks for more than there is: a net that is not there, a cascade that was not calibrated, or
    an accuracy that no net has or that is not known.
    """
    if request.cascade:
        return () if table.cascade is None else (None,)
    names = table.names if request.subnet is None else (request.subnet,)
    return tuple(name for name in names if name in table.seconds and _accurate(table.accuracies[name], request))


def _accurate(accuracy: float | None, request: Request) -> bool:
    return request.least_accuracy <= (0.0 if accuracy is None else accuracy)


def quickest(request: Request, table: Table) -> float:
    """Seconds of a call with this request alone, by the fastest net that may answer it; there must be one."""
    return min(table.cost(name, request.images) for name in allowed(request, table))


def soonest(request: Request, queue: Sequence[Request], table: Table, free: float) -> float:
    """When a request could be answered at the very best: who is told so may refuse it at once.

    Args:
        request: not in the queue yet, or in it.
        queue: what waits; those that are more urgent go first, as fast as nets can.
        table: what calls cost.
        free: when the next worker is free; now, if one is.
    """
    ahead = sum(other.images for other in queue if other.urgency < request.urgency)
    return free + ahead * table.seconds_an_image + quickest(request, table)
