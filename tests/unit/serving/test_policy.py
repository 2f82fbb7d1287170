"""The policies, over any queue, table and time; and slackfit where the right answer is known."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.policy import (
    PATIENCE,
    POLICIES,
    Policy,
    allowed,
    client,
    fixed,
    hopeless,
    policy_of,
    quickest,
    slackfit,
    soonest,
)
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.settings import ServeConfig
from ddnn_runtime.serving.table import Table
from tests.unit.serving.strategies import TABLE, queues

Case = tuple[Table, list[Request], float]
ANY = st.sampled_from([slackfit(), slackfit(3), fixed("shallow"), fixed("full"), client])


@settings(max_examples=40)
@given(queues(), ANY)
def test_a_batch_is_of_the_queue_and_of_what_goes_together(case: Case, policy: Policy) -> None:
    table, queue, now = case
    decision = policy(queue, table, now)
    assert decision.requests
    assert len(set(decision.requests)) == len(decision.requests)
    assert set(decision.requests) <= set(queue)
    assert sum(request.images for request in decision.requests) <= table.largest
    assert all(decision.subnet in allowed(request, table) for request in decision.requests)
    assert policy(queue, table, now) == decision  # there is no state


@settings(max_examples=40)
@given(queues(), ANY)
def test_what_is_asked_for_is_kept(case: Case, policy: Policy) -> None:
    """Said again without `allowed`."""
    table, queue, now = case
    decision = policy(queue, table, now)
    for request in decision.requests:
        assert request.cascade == (decision.subnet is None)
        if decision.subnet is not None:
            assert request.subnet in (None, decision.subnet)
            assert (table.accuracies[decision.subnet] or 0.0) >= request.least_accuracy


@settings(max_examples=40)
@given(queues(), ANY)
def test_urgent_before_idle(case: Case, policy: Policy) -> None:
    """Who has no deadline, and has not waited out the patience, goes first only where no one who has one waits; and
    never takes a place in a batch from one who has one."""
    table, queue, now = case
    batch = policy(queue, table, now).requests
    urgent = [request for request in queue if request.deadline < inf]
    if urgent and batch[0].deadline == inf:
        assert now >= batch[0].arrived + PATIENCE
    patient = [request for request in batch if request.deadline == inf and now < request.arrived + PATIENCE]
    assert batch[len(batch) - len(patient) :] == tuple(patient)


@settings(max_examples=40)
@given(queues(), ANY)
def test_nobody_is_made_late_by_those_who_share_the_batch(case: Case, policy: Policy) -> None:
    table, queue, now = case
    decision = policy(queue, table, now)
    end = now + table.cost(decision.subnet, sum(request.images for request in decision.requests))
    for request in decision.requests[1:]:
        assert end <= request.deadline or quickest(request, table) > request.slack(now)


@settings(max_examples=40)
@given(queues(), ANY)
def test_who_has_waited_out_the_patience_is_next(case: Case, policy: Policy) -> None:
    """So nobody starves: nobody who comes later goes before."""
    table, queue, now = case
    late = hopeless(queue, table, now)
    starving = [request for request in queue if request.deadline == inf or request in late]
    starving = [request for request in starving if now >= request.arrived + PATIENCE]
    if starving:
        assert policy(queue, table, now).requests[0] == min(starving, key=lambda request: request.number)


@settings(max_examples=40)
@given(queues())
def test_hopeless_ones_are_answered_by_the_shallowest_net_that_they_may_have(case: Case) -> None:
    table, queue, now = case
    decision = slackfit()(queue, table, now)
    if decision.requests[0] in hopeless(queue, table, now):
        assert decision.subnet == allowed(decision.requests[0], table)[0]


@settings(max_examples=40)
@given(queues())
def test_whoever_can_be_in_time_when_it_is_their_turn_is(case: Case) -> None:
    table, queue, now = case
    decision = slackfit()(queue, table, now)
    end = now + table.cost(decision.subnet, sum(request.images for request in decision.requests))
    late = hopeless(queue, table, now)
    assert all(end <= request.deadline for request in decision.requests if request not in late)


@settings(max_examples=40)
@given(queues())
def test_hopeless_are_all_those_that_no_net_answers_in_time(case: Case) -> None:
    table, queue, now = case
    assert hopeless(queue, table, now) == [
        request for request in queue if quickest(request, table) > request.slack(now)
    ]


@settings(max_examples=40)
@given(queues())
def test_soonest_counts_what_goes_first(case: Case) -> None:
    table, queue, now = case
    for request in queue:
        ahead = sum(other.images for other in queue if other.urgency < request.urgency)
        assert soonest(request, queue, table, now) == now + ahead * table.seconds_an_image + quickest(request, table)


def of(*slacks: float, **wishes: object) -> list[Request]:
    """A queue of requests that have come at 0, with so much time."""
    return [replace(Request(n, 0.0, slack), **wishes) for n, slack in enumerate(slacks)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("queue", "subnet"),
    [
        (of(inf), "full"),
        (of(*[inf] * 1000), "full"),
        (of(1.0), "full"),
        (of(0.0042), "full"),
        (of(0.0041), "middle"),
        (of(0.0027), "shallow"),
        (of(0.001), "shallow"),
        (of(-1.0), "shallow"),
        (of(0.05, 0.05, 0.05), "full"),
        (of(*[0.05] * 14), "middle"),
        (of(*[0.05] * 30), "shallow"),
        (of(*[0.05] * 300), "shallow"),
        (of(0.0027, subnet="full"), "full"),
        (of(0.0027, least_accuracy=0.85), "middle"),
        (of(1.0, least_accuracy=0.85), "full"),
    ],
)
def test_slackfit_gets_shallower_rather_than_late(queue: list[Request], subnet: str) -> None:
    assert slackfit()(queue, TABLE, 0.0).subnet == subnet


def test_more_workers_get_through_a_longer_queue_with_deeper_nets() -> None:
    queue = of(*[0.05] * 14)
    assert (slackfit(1)(queue, TABLE, 0.0).subnet, slackfit(4)(queue, TABLE, 0.0).subnet) == ("middle", "full")


def test_the_most_accurate_net_is_taken_and_where_that_is_not_known_the_deepest() -> None:
    better = replace(TABLE, accuracies={"shallow": 0.8, "middle": 0.9, "full": 0.88})
    unknown = replace(TABLE, accuracies={"shallow": 0.8, "middle": 0.9, "full": None})
    assert [slackfit()(of(inf), table, 0.0).subnet for table in (better, unknown)] == ["middle", "full"]


def test_requests_without_deadline_wait_for_their_net() -> None:
    """They join no batch of a shallower one."""
    queue = of(0.0027, inf, inf)
    assert slackfit()(queue, TABLE, 0.0).requests == (queue[0],)
    assert slackfit()(queue[1:], TABLE, 0.0).requests == tuple(queue[1:])


def test_cascades_go_by_themselves() -> None:
    table = replace(TABLE, cascade=TABLE.seconds["full"], cascade_accuracy=0.87)
    queue = [replace(request, cascade=request.number % 2 == 0) for request in of(0.1, 0.1, 0.1, 0.1)]
    for policy in (slackfit(), fixed("full"), client):
        decision = policy(queue, table, 0.0)
        assert (decision.subnet, decision.requests) == (None, (queue[0], queue[2]))
    assert allowed(replace(queue[0], least_accuracy=0.88), table) == ()


def test_baselines() -> None:
    queue = of(0.0)
    named = [replace(request, subnet="middle") for request in queue]
    assert [policy(queue, TABLE, 0.0).subnet for policy in (fixed("shallow"), client)] == ["shallow", "full"]
    assert [policy(named, TABLE, 0.0).subnet for policy in (fixed("shallow"), client)] == ["middle", "middle"]


def test_policies_are_made_of_a_configuration() -> None:
    """All that the configuration may name are there."""
    for name in POLICIES:
        assert policy_of(ServeConfig(policy=name), TABLE)(of(inf), TABLE, 0.0).subnet == "full"  # type: ignore[arg-type]
    config = ServeConfig(policy="fixed", subnet="shallow")
    assert policy_of(config, TABLE)(of(inf), TABLE, 0.0).subnet == "shallow"
    with pytest.raises(DDNNError, match=r"no sub-net 'shalow'.*did you mean shallow"):
        policy_of(replace(config, subnet="shalow"), TABLE)
