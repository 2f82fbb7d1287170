"""The simulator loses nothing, says what queueing theory says, and shows what slackfit is for."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn_runtime.serving.policy import Decision, Policy, client, fixed, quickest, slackfit
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.simulator import Outcome, report, simulate
from ddnn_runtime.serving.table import Table
from ddnn_runtime.serving.traces import bursts, poisson, requests
from tests.unit.serving.strategies import TABLE, admissible, tables, traces

CARRIES = 1 / TABLE.paces["full"].seconds
"""Images a second that the full net gets through."""
DEADLINE_MS = 10e3 * TABLE.cost("full", 1)
LATE = st.sampled_from(["refuse", "shallowest"])


@settings(max_examples=40)
@given(
    tables().flatmap(lambda table: st.tuples(st.just(table), traces(table))),
    st.sampled_from([slackfit(), fixed("full"), client]),
    st.integers(1, 3),
    st.integers(1, 20),
    LATE,
)
def test_nothing_is_answered_twice_or_lost(
    case: tuple[Table, list[Request]], policy: Policy, workers: int, most: int, late: Literal["refuse", "shallowest"]
) -> None:
    table, trace = case
    outcomes = simulate(trace, policy, table, workers=workers, most=most, late=late)
    assert sorted(outcome.request.number for outcome in outcomes) == [request.number for request in trace]
    answered = [outcome for outcome in outcomes if outcome.began is not None]
    for outcome in answered:
        assert outcome.began is not None
        assert outcome.request.arrived <= outcome.began < outcome.ended
    assert {outcome.request for outcome in answered} <= set(admissible(trace, table))
    if late == "shallowest" and most >= sum(request.images for request in trace):  # then nobody else is refused
        assert {outcome.request for outcome in answered} == set(admissible(trace, table))
    _check_workers(answered, workers, table)
    figures = report(outcomes, table)
    assert (figures.answered, figures.answered + figures.refused) == (len(answered), len(trace))
    assert sum(figures.images.values()) == sum(outcome.request.images for outcome in answered)


def _check_workers(answered: Sequence[Outcome], workers: int, table: Table) -> None:
    """Calls take what the table says, and no more run at once than there are workers."""
    calls = Counter((outcome.began, outcome.ended, outcome.subnet, outcome.batch) for outcome in answered)
    for began, ended, subnet, batch in calls:
        assert began is not None
        assert ended == began + table.cost(subnet, batch)
        running = [other for other in calls if other[0] is not None and other[0] <= began < other[1]]
        assert sum(-(-_images(answered, other) // other[3]) for other in running) <= workers


def _images(answered: Sequence[Outcome], call: tuple[float | None, float, str | None, int]) -> int:
    return sum(
        outcome.request.images
        for outcome in answered
        if (outcome.began, outcome.ended, outcome.subnet, outcome.batch) == call
    )


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
def test_one_worker_without_batches_waits_as_queueing_theory_says(load: float) -> None:
    """M/D/1: by Pollaczek and Khinchine, the mean wait is load x service / (2 x (1 - load))."""
    service = 0.004
    table = Table((1,), {"full": (service,)}, {"full": 0.9})
    outcomes = simulate(requests(poisson(load / service, 30_000, seed=3)), fixed("full"), table, most=10**9)
    assert report(outcomes, table).waited["mean"] == pytest.approx(load * service / (2 * (1 - load)), rel=0.1)


def test_several_workers_wait_as_a_plain_simulation_says() -> None:
    """Earliest arrival first, no batches: each request goes to the worker that is free first."""
    service, workers = 0.004, 3
    table = Table((1,), {"full": (service,)}, {"full": 0.9})
    trace = requests(bursts(0.9 * workers / service, 5000, seed=1, seconds=0.1))
    free, waited = [0.0] * workers, []
    for request in trace:
        place = free.index(min(free))
        began = max(request.arrived, free[place])
        free[place] = began + service
        waited.append(began - request.arrived)
    outcomes = simulate(trace, fixed("full"), table, workers=workers, most=10**9)
    found = report(outcomes, table).waited
    assert found["mean"] == pytest.approx(sum(waited) / len(waited))
    assert found["p99"] == pytest.approx(sorted(waited)[int(0.99 * len(waited))], rel=0.02)


def test_admission_is_that_of_a_server() -> None:
    """The first begins at once; then there is room for three images, time for some, and a net for some."""
    trace = [
        Request(0, 0.0),
        Request(1, 0.0, images=2),
        Request(2, 0.0, images=2),
        Request(3, 0.0, deadline=0.001),
        Request(4, 0.0, subnet="nosuch"),
        Request(5, 0.0, images=17),
        Request(6, 0.0, images=1),
    ]
    refused = {o.request.number for o in simulate(trace, slackfit(), TABLE, most=3) if o.began is None}
    assert refused == {2, 3, 4, 5}
    late = {o.request.number for o in simulate(trace, slackfit(), TABLE, most=9, late="shallowest") if o.began is None}
    assert late == {4, 5}


def test_who_waits_until_it_is_too_late_is_refused() -> None:
    """A call takes ten times as long as the table says."""
    trace = requests([0.0, 0.001], 30)
    outcomes = simulate(trace, fixed("full"), TABLE, seconds=lambda name, images: 10 * TABLE.cost(name, images))
    assert [(o.request.number, o.began) for o in outcomes] == [(0, 0.0), (1, None)]
    assert outcomes[1].ended == pytest.approx(0.042)


@pytest.mark.parametrize("trace", [poisson, bursts])
def test_at_low_load_the_full_net_answers_everything(trace: object) -> None:
    times = (poisson if trace is poisson else bursts)(0.2 * CARRIES, 5000)
    for deadline in (None, DEADLINE_MS):
        found = report(simulate(requests(times, deadline), slackfit(), TABLE), TABLE)
        assert (found.images, found.attained) == ({"full": 5000}, 1.0)
        assert found.accuracy == pytest.approx(0.88)


@pytest.mark.parametrize("seed", range(3))
def test_at_twice_the_load_deadlines_are_kept(seed: int) -> None:
    """With an accuracy between the shallowest net's and the full net's, where the full net alone keeps half of them."""
    trace = requests(poisson(2 * CARRIES, 5_000, seed), DEADLINE_MS)
    ours = report(simulate(trace, slackfit(), TABLE), TABLE)
    full = report(simulate(trace, fixed("full"), TABLE), TABLE)
    assert ours.attained >= 0.99
    assert ours.accuracy is not None
    assert 0.82 < ours.accuracy < 0.88
    assert full.attained < 0.55
    assert ours.accuracy_of_all is not None
    assert full.accuracy_of_all is not None
    assert ours.accuracy_of_all > full.accuracy_of_all + 0.3


def test_deadlines_are_kept_where_calls_take_now_longer_and_now_shorter() -> None:
    """Around four fifths of the 95th percentile that a table has."""
    trace, drawn = requests(poisson(2 * CARRIES, 5_000), DEADLINE_MS), random.Random(0)
    outcomes = simulate(
        trace,
        slackfit(),
        TABLE,
        seconds=lambda name, images: TABLE.cost(name, images) * min(3.0, drawn.lognormvariate(-0.22, 0.15)),
    )
    assert report(outcomes, TABLE).attained >= 0.99


@pytest.mark.parametrize("late", ["refuse", "shallowest"])
def test_at_more_load_than_the_shallowest_net_carries_it_does_what_it_can(
    late: Literal["refuse", "shallowest"],
) -> None:
    """At most three quarters of all deadlines could be kept. Who is late, is answered too where that is asked for."""
    trace = requests(poisson(4 * CARRIES, 5_000), DEADLINE_MS)
    assert (
        report(simulate(trace, slackfit(), TABLE, late=late), TABLE).attained > {"refuse": 0.7, "shallowest": 0.6}[late]
    )


def test_who_has_no_deadline_is_answered_while_others_never_cease() -> None:
    """A load of twice what the full net carries, for ten seconds, and one request in ten without a deadline."""
    times = poisson(2 * CARRIES, int(10 * 2 * CARRIES))
    trace = requests(times, DEADLINE_MS)
    trace = [replace(request, deadline=inf) if request.number % 10 == 0 else request for request in trace]
    outcomes = simulate(trace, slackfit(), TABLE, most=10**9)
    idle = [o for o in outcomes if o.request.deadline == inf]
    assert all(o.began is not None and o.began - o.request.arrived < 6 for o in idle)
    assert report(outcomes, TABLE).attained >= 0.95


def test_plain_slackfit_looks_at_the_first_request_alone() -> None:
    """Why ours looks at the queue: by the slack of the first alone, deep nets are taken until all is late."""

    def plain(queue: Sequence[Request], table: Table, now: float) -> Decision:
        head = queue[0]
        name = max((n for n in table.names if table.cost(n, 1) <= head.slack(now)), key=table.names.index)
        return Decision((head,), name)

    trace = requests(poisson(2 * CARRIES, 5000), DEADLINE_MS)
    found = [report(simulate(trace, policy, TABLE), TABLE).attained for policy in (plain, slackfit())]
    assert found[0] < 0.9 < found[1]


def test_nothing_comes_and_nothing_is_known() -> None:
    assert report(simulate([], slackfit(), TABLE), TABLE).accuracy is None
    table = replace(TABLE, accuracies=dict.fromkeys(TABLE.names))
    found = report(simulate(requests([0.0, 1.0], 100), slackfit(), table), table)
    assert (found.accuracy, found.attained, found.batch, found.images) == (None, 1.0, 1.0, {"full": 2})


def test_figures_of_a_trace_by_hand() -> None:
    """Two in one call in time, one late, one refused."""
    asked = [Request(n, 0.0, 1.0) for n in range(4)]
    outcomes = [
        Outcome(asked[0], "full", 0.5, 1.0, 2),
        Outcome(asked[1], "full", 0.5, 1.0, 2),
        Outcome(asked[2], "shallow", 1.0, 1.1, 1),
        Outcome(asked[3], None, None, 0.2, 0),
    ]
    found = report(outcomes, TABLE)
    assert (found.answered, found.refused, found.attained) == (3, 1, 0.5)
    assert found.images == {"shallow": 1, "full": 2}
    assert found.accuracy == pytest.approx((0.88 + 0.88 + 0.80) / 3)
    assert found.accuracy_of_all == pytest.approx(2 * 0.88 / 4)
    assert found.batch == pytest.approx(1.5)
    assert found.waited == pytest.approx({"mean": 2 / 3, "p50": 0.5, "p95": 0.95, "p99": 0.99})


def test_quickest_counts_all_images() -> None:
    assert quickest(Request(0, 0.0, images=16), TABLE) == TABLE.seconds["shallow"][-1]
