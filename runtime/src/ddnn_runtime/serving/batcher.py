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
from math import ceil
from time import monotonic
from typing import Literal

import numpy as np

from ddnn_runtime.errors import DDNNError, near
from ddnn_runtime.runtime import Runtime
from ddnn_runtime.serving.policy import Decision, Policy, allowed, quickest, soonest
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.table import Table


class QueueFullError(DDNNError):
    """There is no room for a request; the answer is 429.

    Attributes:
        retry_after: whole seconds after which there should be room, at least 1.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineError(DDNNError):
    """A request cannot be answered before its deadline; the answer is 503."""


@dataclass(frozen=True)
class Answer:
    """What a server says of the images of a request.

    Args:
        number: of the request; no other has it.
        logits: float32 of shape (images, classes).
        subnets: the net that answered each image; they differ in a cascade alone.
        waited: seconds in the queue.
        ran: seconds of the call.
        batch: images in the call, those of other requests included.
        slack: seconds that were left until the deadline when the answer was there; negative when it is late.
    """

    number: int
    logits: np.ndarray
    subnets: tuple[str, ...]
    waited: float
    ran: float
    batch: int
    slack: float


@dataclass(frozen=True)
class Batch:
    """A call that has ended, for those who watch.

    Args:
        decision: the requests, and the net.
        answers: one a request; empty where the call failed.
    """

    decision: Decision
    answers: tuple[Answer, ...]


class Batcher:
    """One export, its table, and what waits for it.

    Args:
        runtime: the export.
        table: what its nets cost here.
        policy: forms batches and picks nets.
        executor: where calls run, as many at once as `workers`.
        workers: calls that run at once.
        most: images that may wait.
        late: whether a request whose deadline cannot be met is refused, or answered by the shallowest net.
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
        watch: Callable[[Batch], None] = lambda batch: None,
        number: count[int] | None = None,
    ) -> None:
        self.runtime, self.table = runtime, table
        self._policy, self._executor, self._late, self._watch, self._most = policy, executor, late, watch, most
        self._numbers = count() if number is None else number
        self._queue: list[Request] = []
        self._images: dict[int, np.ndarray] = {}
        self._futures: dict[int, asyncio.Future[Answer]] = {}
        self._busy_until = [0.0] * workers
        self._users, self._unused = 0, asyncio.Event()
        self._some = asyncio.Event()
        self._workers = [asyncio.create_task(self._work(place)) for place in range(workers)]

    @property
    def waiting(self) -> int:
        """Images in the queue."""
        return sum(request.images for request in self._queue)

    @contextmanager
    def used(self) -> Iterator[Batcher]:
        """While a request is on its way, from its first byte to its answer: `close` waits for it."""
        self._users += 1
        self._unused.clear()
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def answer(self, images: np.ndarray, wish: Request) -> Answer:
        """Queue the images of a request, and wait for the answer.

        Args:
            images: prepared as for a call of the runtime, (images, channels, height, width).
            wish: what the client asks for; number and images are set here.

        Raises:
            QueueFullError: there is no room.
            DeadlineError: it cannot be answered in time, now or after it has waited.
            DDNNError: no net here does what it asks for, or the call failed.
        """
        request = replace(wish, number=next(self._numbers), images=len(images))
        self._admit(request)
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._images[request.number], self._futures[request.number] = images, future
        insort(self._queue, request, key=lambda other: other.urgency)
        self._some.set()
        try:
            return await future
        finally:  # whoever hangs up is forgotten, unless the call runs already
            self._forget(request)

    async def close(self) -> None:
        """Answer what is on its way, then stop."""
        if self._users:
            await self._unused.wait()
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def _admit(self, request: Request) -> None:
        """Refuse what cannot be answered."""
        if not allowed(request, self.table):
            raise DDNNError(_not_allowed(request, self.table))
        if request.images > self.table.largest:
            raise DDNNError(f"a request has at most {self.table.largest} images, not {request.images}")
        if self.waiting + request.images > self._most:
            seconds = ceil(self.waiting * self.table.seconds_an_image / len(self._workers))
            raise QueueFullError(f"{self.waiting} images wait already; ask again later", max(1, seconds))
        self._check_deadline(request)

    def _check_deadline(self, request: Request) -> None:
        now = monotonic()
        end = soonest(request, self._queue, self.table, max(now, min(self._busy_until)))
        if self._late == "refuse" and end > request.deadline:
            raise DeadlineError(
                f"this takes {1e3 * (end - now):.3g} ms at least, and there are {1e3 * request.slack(now):.3g} ms left"
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
            decision = self._policy(self._queue, self.table, now)
            images = np.concatenate([self._images.pop(request.number) for request in decision.requests])
            taken = {request.number for request in decision.requests}
            self._queue = [request for request in self._queue if request.number not in taken]
            self._busy_until[place] = now + self.table.cost(decision.subnet, len(images))
            await self._run(decision, images)
            self._busy_until[place] = 0.0

    async def _run(self, decision: Decision, images: np.ndarray) -> None:
        began = monotonic()
        call = partial(_called, self.runtime, images, decision.subnet)
        try:
            logits, subnets = await asyncio.get_running_loop().run_in_executor(self._executor, call)
        except Exception as error:  # of onnxruntime, or no memory: those who asked are told, others go on
            self._end(decision.requests, error)
            return
        ended, answers, start = monotonic(), [], 0
        for request in decision.requests:
            own = slice(start, start := start + request.images)
            waited, slack = began - request.arrived, request.slack(ended)
            answers.append(Answer(request.number, logits[own], subnets[own], waited, ended - began, len(images), slack))
        self._end(decision.requests, answers)
        self._watch(Batch(decision, tuple(answers)))

    def _refuse_late(self) -> None:
        """Requests that have waited until it was too late."""
        now = monotonic()
        late = [request for request in self._queue if quickest(request, self.table) > request.slack(now)]
        for request in late:
            self._queue.remove(request)
        message = "the deadline cannot be met any more: too many requests were more urgent"
        self._end(late, DeadlineError(message))

    def _end(self, requests: Sequence[Request], outcome: Sequence[Answer] | Exception) -> None:
        for place, request in enumerate(requests):
            future = self._futures.get(request.number)
            if future is None or future.done():  # the client has hung up
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome[place])

    def _forget(self, request: Request) -> None:
        self._futures.pop(request.number, None)
        if self._images.pop(request.number, None) is not None and request in self._queue:
            self._queue.remove(request)


def _called(runtime: Runtime, images: np.ndarray, subnet: str | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """The logits of a net, or of the cascade that was calibrated, and which net gave those of each image."""
    if subnet is not None:
        return runtime(images, subnet), (subnet,) * len(images)
    answers = runtime.cascade(images)
    return answers.logits, tuple(answers.names[place] for place in answers.answered_by)


def _not_allowed(request: Request, table: Table) -> str:
    """Why no net may answer a request."""
    if request.cascade and table.cascade is not None:
        return f"the accuracy of the cascade is {table.cascade_accuracy or 0.0:.4f}, not {request.least_accuracy:g}"
    if request.cascade:
        return "this export has no calibrated cascade: run `ddnn cascade RUN`, and export again"
    if request.subnet is not None and request.subnet not in table.seconds:
        return f"there is no sub-net {request.subnet!r}; {near(request.subnet, table.names)}"
    known = {name: accuracy for name, accuracy in table.accuracies.items() if accuracy is not None}
    if not known:
        return "the accuracies of this export are not known: ask without a least accuracy"
    among = [name for name in known if request.subnet in (None, name)]
    best = max(among, key=known.__getitem__) if among else table.names[-1]
    return (
        f"no net is allowed: the most accurate, {best}, has {known.get(best, 0.0):.4f}, not {request.least_accuracy:g}"
    )
