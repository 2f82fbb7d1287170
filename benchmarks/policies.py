"""Which policy keeps deadlines, and at which accuracy, when requests pile up: all on the same traces, simulated.

python benchmarks/policies.py EXPORT [--requests 20000 --deadline 10 --output figures.json]

The nets are measured first; calls then take as long as that table says. Loads are multiples of what the full net
carries: 1 over its time for an image in the batches that suit it. Beside the policies of `ddnn serve` stand SlackFit by
the slack of the most urgent request alone, and a server without deadlines: first come, first served, by the full net,
in batches of whatever waits.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from command import run
from ddnn_runtime.runtime import Runtime
from ddnn_runtime.serving.policy import Decision, Policy, allowed, fixed, slackfit
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.simulator import report, simulate
from ddnn_runtime.serving.table import Table, from_profile, measured
from ddnn_runtime.serving.traces import bursts, poisson, requests
from reporting import Report

LOADS = (0.5, 1.0, 2.0, 4.0)


def main(
    export: str,
    count: int = 20_000,
    deadline: float = 10.0,
    largest: int = 16,
    threads: int = 1,
    workers: int = 1,
    profile: str | None = None,
    seed: int = 0,
    output: str | None = None,
) -> None:
    """Print a table for each kind of trace.

    Args:
        export: what is served, with accuracies.
        count: requests in a trace.
        deadline: of a request, as a multiple of the full net's time for one image.
        largest: most images in a call.
        threads: of a call.
        workers: calls at once.
        profile: times from a profile in place of measuring.
        seed: of the traces.
        output: a JSON file for the figures, too.
    """
    runtime = Runtime(export, threads=threads)
    table = measured(runtime, largest, 20.0, workers) if profile is None else from_profile(profile, runtime, largest)
    found = Report("which policy keeps deadlines at which accuracy?", output)
    found.table(f"milliseconds, {threads} thread(s), {workers} worker(s)", list(_costs(table)))
    milliseconds, rate = 1e3 * deadline * table.cost(table.names[-1], 1), workers / table.paces[table.names[-1]].seconds
    for kind, load in product(("poisson", "bursts"), LOADS):
        seconds = 20 * milliseconds / 1e3
        times = (
            poisson(load * rate, count, seed)
            if kind == "poisson"
            else bursts(load * rate, count, seed, factor=3.0, seconds=seconds)
        )
        title = f"{kind}, {load:g} times what {table.names[-1]} carries ({rate:.0f}/s), deadline {milliseconds:.3g} ms"
        found.table(title, list(_rows(requests(times, milliseconds), table, workers)))


def _costs(table: Table) -> Iterator[dict[str, Any]]:
    for name, row in table.seconds.items():
        times = {f"batch {size}": 1e3 * time for size, time in zip(table.batches, row, strict=True)}
        yield {"net": name, "accuracy": table.accuracies[name], **times}


def _rows(trace: Sequence[Request], table: Table, workers: int) -> Iterator[dict[str, Any]]:
    for name, (policy, late) in _policies(table, workers).items():
        figures = report(simulate(trace, policy, table, workers=workers, late=late), table)
        yield {
            "policy": name,
            "attained": figures.attained,
            "accuracy": figures.accuracy,
            "of all": figures.accuracy_of_all,
            "refused": figures.refused,
            "wait p50, ms": 1e3 * figures.waited["p50"],
            "wait p99, ms": 1e3 * figures.waited["p99"],
            "batch": figures.batch,
            "images": " ".join(f"{net}:{number}" for net, number in figures.images.items()),
        }


def _policies(table: Table, workers: int) -> Mapping[str, tuple[Policy, Any]]:
    """By what they are called here; and whether late requests are refused."""
    return {
        "slackfit": (slackfit(workers), "refuse"),
        "slackfit, late ones too": (slackfit(workers), "shallowest"),
        **{f"fixed {name}": (fixed(name), "refuse") for name in table.names},
        "plain slackfit": (_plain, "refuse"),
        "first come, full net": (_first_come, "shallowest"),
    }


def _plain(queue: Sequence[Request], table: Table, now: float) -> Decision:
    """The slack of the most urgent alone: the best net that is in time for it, in the largest batch that is."""
    head = queue[0]
    names = allowed(head, table)
    fitting = [name for name in names if table.cost(name, head.images) <= head.slack(now)]
    name = max(fitting, key=table.worth.__getitem__) if fitting else names[0]
    batch, images = [head], head.images
    for request in queue[1:]:
        images += request.images
        if name not in allowed(request, table) or images > table.largest:
            break
        if table.cost(name, images) > head.slack(now):
            break
        batch.append(request)
    return Decision(tuple(batch), name)


def _first_come(queue: Sequence[Request], table: Table, now: float) -> Decision:
    """Whatever waits, in the order in which it came, by the full net."""
    batch, images = list[Request](), 0
    for request in sorted(queue, key=lambda request: request.number):
        images += request.images
        if images > table.largest:
            break
        batch.append(request)
    return Decision(tuple(batch), table.names[-1])


if __name__ == "__main__":
    run(main)
