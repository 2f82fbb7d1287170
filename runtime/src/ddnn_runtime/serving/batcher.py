"""The queue of one export and the workers that empty it, in batches that the policy forms.

The queue belongs to the event loop, so there is no lock; calls of nets run in threads, where onnxruntime lets Python
go on.
"""

from __future__ import annotations

import asyncio
from bisect import insort
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from math import ceil, inf
from time import monotonic
from typing import Literal

import numpy as np

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.runtime import Runtime
from ddnn_runtime.serving.answer import (
    Answer,
    Batch,
    CallError,
    DeadlineError,
    QueueFullError,
    TooManyImagesError,
    not_allowed,
)
from ddnn_runtime.serving.policy import Decision, Policy, allowed, hopeless, soonest
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.slowness import Slowness
from ddnn_runtime.serving.table import Table


class Batcher:
    """One export, its table, and what waits for it.

    Args:
        runtime: the export.
        table: what its nets cost here, where nothing else runs.
        policy: forms batches and picks nets.
        executor: where calls run, as many at once as `workers`.
        workers: calls that run at once.
        most: images that may wait.
        late: whether a request whose deadline cannot be met is refused, or answered by the shallowest net.
        headroom: share of the time until a deadline that is not planned with.
        watch: is told of each batch.
        number: numbers requests; servers that change exports go on counting.
    """

    def __init__(
        self,
        runtime: Runtime,
        table: Table,
        policy: Policy,
        executor: Executor,
        *,
        workers: int = 1,
        most: int = 1024,
        late: Literal["refuse", "shallowest"] = "refuse",
        headroom: float = 0.0,
        watch: Callable[[Batch], None] = lambda batch: None,
        number: count[int] | None = None,
    ) -> None:
        self.runtime, self.table = runtime, table
        self._slowness, self._headroom = Slowness(table), headroom
        self.watch = watch
        self._policy, self._executor, self._late, self._most = policy, executor, late, most
        self._numbers = count() if number is None else number
        self._queue: list[Request] = []
        self._waiting = self._expected = 0
        self._asked: dict[int, _Asked] = {}
        self._busy_until = [0.0] * workers
        self._users, self._unused = 0, asyncio.Event()
        self._some = asyncio.Event()
        self._workers = [asyncio.create_task(self._work(place)) for place in range(workers)]

    @property
    def waiting(self) -> int:
        """Images that wait, those that are being decoded included."""
        return self._waiting + self._expected

    @contextmanager
    def used(self) -> Iterator[Batcher]:
        """While a request is on its way, from its last byte to its answer: `close` waits for it."""
        self._users += 1
        self._unused.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    @contextmanager
    def expecting(self, wish: Request) -> Iterator[None]:
        """Keep room for the images of a request while they are decoded; `answer` takes them afterwards.

        Raises:
            DDNNError: as `answer`, before anybody has decoded in vain.
        """
        self._admit(self._planned(wish))
        self._expected += wish.images
        try:
            yield
        finally:
            self._expected -= wish.images

    async def answer(self, images: np.ndarray, wish: Request) -> Answer:
        """Queue the images of a request, and wait for the answer.

        Args:
            images: prepared as for a call of the runtime, (images, channels, height, width).
            wish: what the client asks for; number and images are set here.

        Raises:
            QueueFullError: there is no room.
            DeadlineError: it cannot be answered in time, now or after it has waited.
            CallError: the call failed.
            DDNNError: no net here does what it asks for.
        """
        request = replace(self._planned(wish), number=next(self._numbers), images=len(images))
        self._admit(request)
        asked = _Asked(images, asyncio.get_running_loop().create_future(), wish.deadline)
        self._asked[request.number] = asked
        insort(self._queue, request, key=lambda other: other.urgency)
        self._waiting += request.images
        self._some.set()
        try:
            return await asked.answer
        finally:  # whoever hangs up is forgotten, unless the call runs already
            del self._asked[request.number]
            if not asked.taken:
                self._take([request])

    async def close(self) -> None:
        """Answer what is on its way, then stop."""
        if self._users:
            await self._unused.wait()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def seconds_left(self) -> int:
        """Whole seconds in which what waits could be answered, at least 1."""
        return max(1, ceil(self.waiting * self._slowness.table.seconds_an_image / len(self._workers)))

    def _planned(self, wish: Request) -> Request:
        """The request with the deadline that is planned with."""
        if wish.deadline == inf:
            return wish
        return replace(wish, deadline=wish.deadline - self._headroom * (wish.deadline - wish.arrived))

    def _admit(self, request: Request) -> None:
        """Refuse what cannot be answered."""
        if not allowed(request, self.table):
            raise DDNNError(not_allowed(request, self.table))
        if request.images > self.table.largest:
            raise TooManyImagesError(f"a request has at most {self.table.largest} images here, not {request.images}")
        if self.waiting + request.images > self._most:
            raise QueueFullError(
                f"{self.waiting} images wait already, of {self._most} at most; ask again later", self.seconds_left()
            )
        if self._late == "refuse" and request.deadline < inf:
            self._check_deadline(request)

    def _check_deadline(self, request: Request) -> None:
        now = monotonic()
        end = soonest(request, self._queue, self._slowness.table, max(now, min(self._busy_until)))
        if end > request.deadline:
            raise DeadlineError(
                f"the deadline cannot be met: this takes {1e3 * (end - now):.3g} ms at least, and "
                f"{1e3 * max(0.0, request.slack(now)):.3g} ms are left",
                self.seconds_left(),
            )

    async def _work(self, place: int) -> None:
        """Take batches and run them, for ever."""
        while True:
            await self._some.wait()
            if self._late == "refuse":
                self._refuse_late()
            if not self._queue:
                self._some.clear()
                continue
            now = monotonic()
            decision = self._decided(now)
            if decision is not None:
                images = sum(request.images for request in decision.requests)
                self._busy_until[place] = now + self._slowness.table.cost(decision.subnet, images)
                await self._run(decision)
                self._busy_until[place] = 0.0

    def _decided(self, now: float) -> Decision | None:
        """What to do next, taken from the queue; where the policy fails, the most urgent request is told, and the
        others go on."""
        try:
            decision = self._policy(self._queue, self._slowness.table, now)
            waiting = {request.number for request in self._queue}
            assert decision.requests, "the policy took nothing"
            assert waiting.issuperset(request.number for request in decision.requests), "the policy took what is gone"
            self._take(decision.requests)
            return decision
        except Exception as error:
            self._fail(self._take(self._queue[:1]), partial(CallError, f"no batch could be formed: {error!r}"))
            return None

    async def _run(self, decision: Decision) -> None:
        began = monotonic()
        images = [self._asked[request.number].images for request in decision.requests]
        deadlines = {request.number: self._asked[request.number].deadline for request in decision.requests}
        call = partial(_called, self.runtime, images, decision.subnet)
        try:
            logits, subnets = await asyncio.get_running_loop().run_in_executor(self._executor, call)
        except Exception as error:  # of onnxruntime, or no memory: those who asked are told, others go on
            reason = " ".join(str(error).split()) or type(error).__name__
            self._fail(decision.requests, partial(CallError, f"the call of {decision.subnet} failed: {reason}"))
            return
        ended, answers, start = monotonic(), [], 0
        self._slowness.saw(self.table.cost(decision.subnet, len(logits)), ended - began)
        for request in decision.requests:
            own = slice(start, start := start + request.images)
            future = self._pending(request)
            waited, slack = began - request.arrived, deadlines[request.number] - ended
            answer = Answer(request.number, logits[own], subnets[own], waited, ended - began, len(logits), slack)
            answers.append(answer)
            if future is not None:
                future.set_result(answer)
        asyncio.get_running_loop().call_soon(self.watch, Batch(decision, tuple(answers)))  # whatever it does there

    def _refuse_late(self) -> None:
        """Requests that have waited until it was too late."""
        late = hopeless(self._queue, self._slowness.table, monotonic())
        if late:
            message = "the deadline cannot be met any more: too many requests were more urgent"
            self._fail(self._take(late), partial(DeadlineError, message, self.seconds_left()))

    def _take(self, requests: Sequence[Request]) -> Sequence[Request]:
        """Take requests from the queue."""
        taken = {request.number: request for request in requests}
        for number, request in taken.items():
            self._waiting -= request.images
            if asked := self._asked.get(number):
                asked.taken = True
        self._queue = [request for request in self._queue if request.number not in taken]
        return list(taken.values())

    def _fail(self, requests: Sequence[Request], error: Callable[[], Exception]) -> None:
        for request in requests:  # an error for each: a raised one belongs to who catches it
            if future := self._pending(request):
                future.set_exception(error())

    def _pending(self, request: Request) -> asyncio.Future[Answer] | None:
        """What a client waits for; None if it has hung up."""
        asked = self._asked.get(request.number)
        return None if asked is None or asked.answer.done() else asked.answer


@dataclass
class _Asked:
    """What a request brought, and what its client waits for."""

    images: np.ndarray
    answer: asyncio.Future[Answer]
    deadline: float
    taken: bool = False


def _called(runtime: Runtime, images: Sequence[np.ndarray], subnet: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The logits of a net, or of the cascade that was calibrated, and which net gave those of each image."""
    batch = images[0] if len(images) == 1 else np.concatenate(images)
    if subnet is not None:
        return runtime(batch, subnet), (subnet,) * len(batch)
    answers = runtime.cascade(batch)
    return answers.logits, tuple(answers.names[place] for place in answers.answered_by)
