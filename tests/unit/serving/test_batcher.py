"""The queue of an export: each request gets its own answer or its own error, whatever policies, nets and clients do."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from time import monotonic
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.runtime import Runtime
from ddnn_runtime.serving.answer import Answer, Batch, CallError, DeadlineError, QueueFullError, TooManyImagesError
from ddnn_runtime.serving.batcher import Batcher
from ddnn_runtime.serving.policy import Decision, Policy, fixed, slackfit
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.table import Table
from tests.unit.serving.strategies import NAMES, TABLE

NEVER = 3600.0


class Nets:
    """In place of a runtime: a logit is the image's own number, another the place of the net.

    Args:
        *held: images whose calls wait until they are let go.
    """

    def __init__(self, *held: float) -> None:
        self.gates = {number: threading.Event() for number in held}
        self.begun = threading.Semaphore(0)
        self.calls: list[tuple[str, list[float]]] = []
        self.bad: set[float] = set()

    def __call__(self, images: np.ndarray, subnet: str) -> np.ndarray:
        numbers = images[:, 0].tolist()
        self.calls.append((subnet, numbers))
        self.begun.release()
        for number in numbers:
            assert number not in self.gates or self.gates[number].wait(30)
        if self.bad & {*numbers}:
            raise MemoryError("no\nroom")
        return np.stack([images[:, 0], np.full(len(images), NAMES.index(subnet))], axis=1)

    def let_go(self, number: float = 0) -> None:
        self.gates[number].set()


def run(test: Callable[[Callable[..., Batcher]], Coroutine[Any, Any, None]]) -> None:
    """Run a test with a maker of batchers, which are closed at its end."""

    async def main() -> None:
        made: list[Batcher] = []
        with ThreadPoolExecutor(4) as pool:

            def make(nets: Nets, policy: Policy | None = None, table: Table = TABLE, **options: Any) -> Batcher:
                made.append(Batcher(cast(Runtime, nets), table, policy or slackfit(), pool, **options))
                return made[-1]

            await asyncio.wait_for(test(make), 30)
            for batcher in made:
                await batcher.close()

    asyncio.run(main())


def images(*numbers: float) -> np.ndarray:
    return np.array(numbers, dtype=np.float32)[:, None]


def wish(**fields: Any) -> Request:
    return Request(0, monotonic(), **fields)


async def begun(nets: Nets, calls: int = 1) -> None:
    for _ in range(calls):
        await asyncio.to_thread(nets.begun.acquire)


def asked(batcher: Batcher, *numbers: float, **fields: Any) -> "asyncio.Task[Answer]":
    return asyncio.create_task(batcher.answer(images(*numbers), wish(**fields)))


@given(
    st.lists(st.tuples(st.integers(1, 4), st.sampled_from([None, *NAMES]), st.booleans()), min_size=1, max_size=30),
    st.integers(1, 3),
)
def test_each_request_gets_the_answer_to_its_own_images(asks: list[Any], workers: int) -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        watched: list[Batch] = []
        batcher = make(Nets(), workers=workers, watch=watched.append)
        numbers = count()
        given_images = [[float(next(numbers)) for _ in range(size)] for size, _, _ in asks]
        tasks = [
            asked(batcher, *own, subnet=net, **({"deadline": monotonic() + NEVER} if hurried else {}))
            for own, (_, net, hurried) in zip(given_images, asks, strict=True)
        ]
        answers = await asyncio.gather(*tasks)
        for own, (size, net, _), answer in zip(given_images, asks, answers, strict=True):
            assert answer.logits[:, 0].tolist() == own
            assert answer.subnets == tuple(NAMES[int(place)] for place in answer.logits[:, 1])
            assert set(answer.subnets) == {net} if net else True
            assert (answer.batch >= size, answer.waited >= 0, answer.ran >= 0) == (True, True, True)
        assert len({answer.number for answer in answers}) == len(asks)
        await asyncio.sleep(0)
        told = [answer for batch in watched for answer in batch.answers]
        assert sorted(answer.number for answer in told) == sorted(answer.number for answer in answers)
        assert batcher.waiting == 0

    run(test)


def test_who_hangs_up_while_waiting_is_not_computed_and_makes_room() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        nets = Nets(0)
        batcher = make(nets, most=3)
        first = asked(batcher, 0)
        await begun(nets)
        gone, stays = asked(batcher, 2, 3), asked(batcher, 4)
        await asyncio.sleep(0)
        assert batcher.waiting == 3
        gone.cancel()
        await asyncio.wait([gone])
        assert batcher.waiting == 1
        late = asked(batcher, 5, 6)
        await asyncio.sleep(0)
        nets.let_go()
        answers = await asyncio.gather(first, stays, late)
        assert [answer.logits[0, 0] for answer in answers] == [0, 4, 5]
        assert not {2, 3} & {number for _, numbers in nets.calls for number in numbers}
        assert batcher.waiting == 0

    run(test)


def test_who_hangs_up_during_the_call_takes_nobody_along() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        nets = Nets(0, 1)
        batcher = make(nets)
        first = asked(batcher, 0)
        await begun(nets)
        gone, stays = asked(batcher, 1, subnet="full"), asked(batcher, 2, subnet="full")
        await asyncio.sleep(0)
        nets.let_go()
        await first
        await begun(nets)
        assert nets.calls[-1] == ("full", [1, 2])
        gone.cancel()
        await asyncio.wait([gone])
        nets.let_go(1)
        assert (await stays).logits[0, 0] == 2
        assert gone.cancelled()

    run(test)


def test_a_call_that_fails_is_an_error_of_its_own_for_each_and_the_next_goes_well() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        nets = Nets(0)
        nets.bad = {1}
        batcher = make(nets)
        first = asked(batcher, 0)
        await begun(nets)
        failing = [asked(batcher, 1), asked(batcher, 2)]
        await asyncio.sleep(0)
        nets.let_go()
        await first
        errors = await asyncio.gather(*failing, return_exceptions=True)
        assert [type(error) for error in errors] == [CallError, CallError]
        assert errors[0] is not errors[1]
        assert "failed: no room" in str(errors[0])
        assert (await asked(batcher, 2)).logits[0, 0] == 2
        assert batcher.waiting == 0

    run(test)


def bad_policies() -> dict[str, Policy]:
    def raises(queue: Sequence[Request], table: Table, now: float) -> Decision:
        raise ZeroDivisionError

    def takes_nothing(queue: Sequence[Request], table: Table, now: float) -> Decision:
        return Decision((), "full")

    def makes_it_up(queue: Sequence[Request], table: Table, now: float) -> Decision:
        return Decision((*queue, Request(999, now)), "full")

    return {"raises": raises, "takes nothing": takes_nothing, "makes it up": makes_it_up}


@pytest.mark.parametrize("which", bad_policies())
def test_a_policy_that_fails_costs_the_most_urgent_its_answer_and_no_more(which: str) -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        calls = count()

        def policy(queue: Sequence[Request], table: Table, now: float) -> Decision:
            return (bad_policies()[which] if next(calls) == 1 else fixed("full"))(queue, table, now)

        nets = Nets(0)
        batcher = make(nets, policy)
        first = asked(batcher, 0)
        await begun(nets)
        others = [asked(batcher, 1), asked(batcher, 2), asked(batcher, 3)]
        await asyncio.sleep(0)
        nets.let_go()
        outcomes = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [Answer, CallError, Answer, Answer]
        assert batcher.waiting == 0

    run(test)


def test_a_full_queue_refuses_and_says_when_to_come_again() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        nets = Nets(0)
        batcher = make(nets, most=4)
        first = asked(batcher, 0)
        await begun(nets)
        with batcher.expecting(wish(images=3)):
            assert batcher.waiting == 3
            with pytest.raises(QueueFullError, match="3 images wait already, of 4 at most") as refused:
                await batcher.answer(images(1, 2), wish())
            assert refused.value.retry_after >= 1
            with pytest.raises(QueueFullError), batcher.expecting(wish(images=2)):
                raise AssertionError
        assert batcher.waiting == 0
        waits = asked(batcher, 1, 2, 3, 4)
        nets.let_go()
        await asyncio.gather(first, waits)

    run(test)


def test_what_no_net_may_answer_is_refused_before_it_waits() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        batcher = make(Nets())
        for fields, message in (
            ({"subnet": "fulll"}, "there is no sub-net 'fulll'; did you mean full"),
            ({"least_accuracy": 0.9}, r"the most accurate, full, has 0\.8800, not 0\.9"),
            ({"least_accuracy": 0.85, "subnet": "shallow"}, r"the most accurate, shallow, has 0\.8000, not 0\.85"),
            ({"cascade": True}, "no calibrated cascade"),
        ):
            with pytest.raises(DDNNError, match=message):
                await batcher.answer(images(1), wish(**fields))
        with pytest.raises(TooManyImagesError, match="at most 16 images here, not 17"):
            await batcher.answer(images(*range(17)), wish())

    run(test)


def test_a_deadline_that_cannot_be_met_is_refused_at_once_or_answered_by_the_shallowest() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        with pytest.raises(DeadlineError, match=r"the deadline cannot be met: this takes 1\.4 ms at least") as refused:
            await make(Nets()).answer(images(1), wish(deadline=monotonic() + 0.001))
        assert refused.value.retry_after >= 1
        answer = await make(Nets(), late="shallowest").answer(images(1), wish(deadline=monotonic() - 1))
        assert (answer.subnets, answer.slack < -1) == (("shallow",), True)

    run(test)


def test_who_has_waited_until_it_is_too_late_is_told_and_not_computed() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        nets = Nets(0)
        batcher = make(nets)
        first = asked(batcher, 0)
        await begun(nets)
        late = asked(batcher, 1, deadline=monotonic() + 0.2)  # the call that runs should be over by then
        patient = asked(batcher, 2, deadline=monotonic() + NEVER)
        await asyncio.sleep(0.25)
        nets.let_go()
        assert (await first).logits[0, 0] == 0
        with pytest.raises(DeadlineError, match="cannot be met any more"):
            await late
        assert (await patient).logits[0, 0] == 2
        assert [numbers for _, numbers in nets.calls] == [[0], [2]]

    run(test)


def test_workers_run_side_by_side() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        nets = Nets(1, 2)
        batcher = make(nets, workers=2)
        first = asked(batcher, 1, subnet="full")
        await begun(nets)
        second = asked(batcher, 2, subnet="shallow")
        await begun(nets)  # while the first one runs
        nets.let_go(1)
        nets.let_go(2)
        assert [answer.logits[0, 0] for answer in await asyncio.gather(first, second)] == [1, 2]

    run(test)


def test_closing_waits_for_those_on_their_way_and_answers_them() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        nets = Nets(0)
        batcher = make(nets)

        async def use() -> Answer:
            with batcher.used():
                await asyncio.sleep(0)  # it is decoded
                return await batcher.answer(images(0), wish())

        using = asyncio.create_task(use())
        await asyncio.sleep(0)
        closing = asyncio.create_task(batcher.close())
        await begun(nets)
        assert not closing.done()
        nets.let_go()
        assert (await using).logits[0, 0] == 0
        await closing

    run(test)


def test_who_watches_and_fails_stops_nothing() -> None:
    async def test(make: Callable[..., Batcher]) -> None:
        said: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: said.append(context))

        def watch(batch: Batch) -> None:
            raise ZeroDivisionError

        batcher = make(Nets(), watch=watch)
        for number in range(3):
            assert (await asked(batcher, number)).logits[0, 0] == number
        await asyncio.sleep(0)
        assert [type(context["exception"]) for context in said] == [ZeroDivisionError] * 3

    run(test)
