"""Clients that ask when a trace says so, whether or not earlier questions were answered: open-loop load.

A process of its own, with its own core, which imports nothing of what it measures: python generator.py JOB.json. It
keeps connections open, as good clients do, and opens more while all are in use. Times count from when a question was
due, so that nothing is hidden by a client that is late itself; how late it was is in the result.
"""

import asyncio
import json
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import httptools

KEPT = 2.0
"""Seconds that an unused connection is kept: shorter than any server's own patience, so none is closed in between."""


@dataclass(frozen=True)
class Job:
    """What to ask.

    Args:
        host: of the server.
        port: of the server.
        path: to post images to.
        images: folder of files, asked in the order of their names, again and again.
        headers: of each request.
        ids: prefix of X-Request-Id.
        give_up: seconds after which a client hangs up.
        output: a file for what became of each request.
        times: when each is due, in seconds; empty for clients that ask again once they are answered (closed loop).
        clients: how many of these there are.
        seconds: for how long they ask.
    """

    host: str
    port: int
    path: str
    images: str
    headers: dict[str, str]
    ids: str
    give_up: float
    output: str
    times: list[float] = field(default_factory=list[float])
    clients: int = 0
    seconds: float = 0.0


@dataclass
class Asked:
    """What became of a request; times in seconds since the start.

    Args:
        image: which of the files it sent.
        due: when it should be asked.
        sent: when it was.
        done: when the last byte of the answer was there, or the client gave up.
        status: of HTTP; 0 where the client gave up, -1 where the connection broke.
        own: whether the answer has the request's id; None if it has none.
        answer: what was in it, for status 200.
    """

    image: int
    due: float
    sent: float
    done: float = 0.0
    status: int = 0
    own: bool | None = None
    answer: dict[str, Any] | None = None


class Connection(asyncio.Protocol):
    """One connection; at most one request is under way on it."""

    def __init__(self, load: "Load") -> None:
        self.load, self.number, self.used = load, -1, 0.0
        self.body, self.echo = b"", ""
        self.parser = httptools.HttpResponseParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, number: int) -> None:
        """Send a request."""
        self.number, self.body, self.echo = number, b"", ""
        self.transport.write(self.load.request(number))

    def data_received(self, data: bytes) -> None:
        """Some of an answer."""
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def on_header(self, name: bytes, value: bytes) -> None:
        """The id comes back."""
        if name.lower() == b"x-request-id":
            self.echo = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        """Some of a body."""
        self.body += body

    def on_message_complete(self) -> None:
        """An answer; one that nobody asked for counts as stray."""
        number, self.number = self.number, -1
        status, keep = self.parser.get_status_code(), self.parser.should_keep_alive()
        self.parser = httptools.HttpResponseParser(self)
        if number < 0:
            self.load.strays += 1
        else:
            self.load.answered(self, number, status, self.echo, self.body)
        if not keep:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is closed, by either side."""
        number, self.number = self.number, -1
        self.load.closed(self, number)


class Load:
    """All clients.

    Args:
        job: what they ask.
    """

    def __init__(self, job: Job) -> None:
        self.job, self.strays = job, 0
        self.asked: list[Asked] = []
        self._files = [file.read_bytes() for file in sorted(Path(job.images).iterdir())]
        self._head = "".join(f"{name}: {value}\r\n" for name, value in job.headers.items())
        self._idle: list[Connection] = []
        self._out: dict[int, Connection] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._opened, self._end = 0, 0.0

    def request(self, number: int) -> bytes:
        """The bytes of a request."""
        body, job = self._files[number % len(self._files)], self.job
        head = (
            f"POST {job.path} HTTP/1.1\r\nHost: {job.host}:{job.port}\r\nContent-Length: {len(body)}\r\n"
            f"X-Request-Id: {job.ids}{number}\r\n{self._head}\r\n"
        )
        return head.encode() + body

    async def run(self) -> dict[str, Any]:
        """Ask everything; what became of it."""
        self.began = time.monotonic()
        patience = asyncio.create_task(self._give_up())
        if self.job.times:
            await self._open_loop()
        else:
            await self._closed_loop()
        while self._out or self._tasks:
            await asyncio.sleep(0.01)
        patience.cancel()
        used = time.process_time() / (time.monotonic() - self.began)
        rows = [asdict(asked) for asked in self.asked]
        return {"asked": rows, "strays": self.strays, "connections": self._opened, "cpu": used}

    async def _open_loop(self) -> None:
        for due in self.job.times:
            if (rest := due - self._now()) > 0:
                await asyncio.sleep(rest)
            self._ask(due)

    async def _closed_loop(self) -> None:
        self._end = self.job.seconds
        for _ in range(self.job.clients):
            self._ask(self._now())
        await asyncio.sleep(self.job.seconds)

    def _ask(self, due: float) -> None:
        number = len(self.asked)
        self.asked.append(Asked(number % len(self._files), due, self._now()))
        now = time.monotonic()
        while self._idle:
            connection = self._idle.pop()
            if now - connection.used < KEPT and not connection.transport.is_closing():
                return self._ask_on(connection, number)
            connection.transport.close()
        task = asyncio.create_task(self._ask_on_new(number))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    def _ask_on(self, connection: Connection, number: int) -> None:
        self._out[number] = connection
        connection.ask(number)

    async def _ask_on_new(self, number: int) -> None:
        self._opened += 1
        try:
            loop = asyncio.get_running_loop()
            _, connection = await loop.create_connection(lambda: Connection(self), self.job.host, self.job.port)
        except OSError:
            self._settle(number, -1)
        else:
            self._ask_on(connection, number)

    def answered(self, connection: Connection, number: int, status: int, echo: str, body: bytes) -> None:
        """A client has its answer."""
        asked = self.asked[number]
        asked.own = echo == f"{self.job.ids}{number}" if echo else None
        self._settle(number, status)
        if status == 200:
            asked.answer = json.loads(body)
        connection.used = time.monotonic()
        self._idle.append(connection)
        if self._now() < self._end:
            self._ask(self._now())

    def closed(self, connection: Connection, number: int) -> None:
        """A connection is gone, and with it the answer that was to come."""
        if number >= 0 and self._out.get(number) is connection:
            self._settle(number, -1)
        if connection in self._idle:
            self._idle.remove(connection)

    def _settle(self, number: int, status: int) -> None:
        self._out.pop(number, None)
        self.asked[number].done, self.asked[number].status = self._now(), status

    async def _give_up(self) -> None:
        """Hang up on servers that are too slow: the oldest requests come first."""
        while True:
            await asyncio.sleep(0.05)
            late = deque[int]()
            for number in self._out:
                if self._now() - self.asked[number].sent < self.job.give_up:
                    break
                late.append(number)
            for number in late:
                connection = self._out[number]
                connection.number = -1
                self._settle(number, 0)
                connection.transport.abort()

    def _now(self) -> float:
        return time.monotonic() - self.began


def main() -> None:
    """Do the job in the file that is named."""
    job = Job(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
    Path(job.output).write_text(json.dumps(asyncio.run(Load(job).run())), encoding="utf-8")


if __name__ == "__main__":
    main()
