"""Two replicas on a real Ray on this machine: one is killed while it has requests, then both are replaced; `make slow`.

Each request sends one of a few pictures whose answer by each net is known, so a wrong answer is seen, whoever gave it.
"""

import io
import json
import shutil
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import numpy as np
import pytest
from PIL import Image

from ddnn.serving.ray import build
from ddnn_runtime import Runtime
from tests.exports import shared_export

pytestmark = pytest.mark.slow
ray = pytest.importorskip("ray")
serve = pytest.importorskip("ray.serve")

PATIENCE = 180
"""Seconds until something that should happen has."""
CLIENTS = 8


def picture(number: int) -> bytes:
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PICTURES = [picture(number) for number in range(CLIENTS)]


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_export(tmp_path_factory).resolve()


def deploy(export: Path) -> None:
    """As `serve run ddnn_runtime.serving.ray:build export=… …` does; ends when the replicas are there."""
    keys = {"max_batch": "4", "max_images": "4", "min_replicas": "2", "max_replicas": "2", "cpus": "0.5"}
    serve.run(build({"export": str(export), **keys}))


def start_ray(folder: str) -> None:
    """A cluster of this machine alone. Ray gives up where a process of its own takes 15 s to start, as it does on a
    machine that has much to do, so there are three tries."""
    few = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 80_000_000}
    for last in (False, False, True):
        try:
            ray.init(**few, log_to_driver=False, _temp_dir=folder)
            return
        except Exception:
            ray.shutdown()
            if last:
                raise


@pytest.fixture(scope="module")
def port(export: Path) -> Iterator[int]:
    """Where two replicas answer."""
    patch = pytest.MonkeyPatch()
    patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number = free.getsockname()[1]
    with TemporaryDirectory(prefix="ray") as folder:  # whose path is short: sockets are in it
        start_ray(folder)
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": number})
            deploy(export)
            yield number
            serve.shutdown()
        finally:
            ray.shutdown()
            patch.undo()


@dataclass(frozen=True)
class Told:
    """What came back for a picture.

    Args:
        picture: its number.
        code: status of HTTP; None if the connection broke.
        answer: the JSON of an answer.
        replica: which has answered.
    """

    picture: int
    code: int | None
    answer: dict[str, object] | None = None
    replica: str | None = None


def asked(port: int, number: int) -> Told:
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/predict", PICTURES[number])
        reply = connection.getresponse()
        body = reply.read()
    except (OSError, HTTPException):
        return Told(number, None)
    finally:
        connection.close()
    return Told(number, reply.status, json.loads(body) if reply.status == 200 else None, reply.headers["X-Replica"])


class Clients:
    """Ask all the time, each for its own picture; one that gets no answer asks again, until it has one.

    Args:
        port: where.
    """

    def __init__(self, port: int) -> None:
        self._port, self._stop, self._more = port, threading.Event(), threading.Condition()
        self.told: list[Told] = []
        self._pool = ThreadPoolExecutor(CLIENTS)
        self._asking = [self._pool.submit(self._ask, number) for number in range(CLIENTS)]

    def _ask(self, number: int) -> None:
        while True:
            found = asked(self._port, number)
            with self._more:
                self.told.append(found)
                self._more.notify_all()
            if self._stop.is_set() and found.code == 200:
                return

    def until_answered_by(self, count: int, other_than: frozenset[str] = frozenset()) -> frozenset[str]:
        """The replicas that have answered, once so many have that are not among the others."""

        def found() -> frozenset[str]:
            return frozenset(each.replica for each in self.told if each.replica is not None) - other_than

        with self._more:
            assert self._more.wait_for(lambda: len(found()) >= count, PATIENCE), f"only {found()} have answered"
        return found()

    def until_more_answers(self, count: int) -> None:
        """Wait for so many from now on."""
        with self._more:
            goal = self._answered() + count
            assert self._more.wait_for(lambda: self._answered() >= goal, PATIENCE)

    def stop(self) -> None:
        """Each waits for an answer to its last question."""
        self._stop.set()
        for each in self._asking:
            each.result(PATIENCE)
        self._pool.shutdown()

    def _answered(self) -> int:
        return sum(each.code == 200 for each in self.told)


def test_a_replica_that_is_killed_is_replaced_and_no_answer_is_wrong(export: Path, port: int) -> None:
    clients = Clients(port)
    try:
        both = clients.until_answered_by(2)
        victim = sorted(both)[0]
        (name,) = (
            actor["name"] for actor in ray.util.list_named_actors(all_namespaces=True) if actor["name"].endswith(victim)
        )
        began = monotonic()
        ray.kill(ray.get_actor(name, namespace="serve"))
        (new,) = clients.until_answered_by(1, other_than=both)
        taken = monotonic() - began
        clients.until_more_answers(4 * CLIENTS)
    finally:
        clients.stop()
    assert new != victim
    codes = Counter(each.code for each in clients.told)
    assert set(codes) <= {200, 500, 503, None}  # what was on its way in the killed one, or came before that was known
    assert codes[200] > sum(codes.values()) / 2
    check_answers(clients.told, Runtime(export, threads=1))
    print(f"a new replica answered after {taken:.1f} s; {dict(codes)}")


def test_another_export_is_taken_up_with_no_request_refused(export: Path, port: int, tmp_path: Path) -> None:
    shutil.copytree(export, tmp_path / "next")
    clients = Clients(port)
    try:
        before = clients.until_answered_by(2)
        deploy(tmp_path / "next")
        clients.until_answered_by(2, other_than=before)
        clients.until_more_answers(4 * CLIENTS)
    finally:
        clients.stop()
    assert {each.code for each in clients.told} == {200}
    check_answers(clients.told, Runtime(export, threads=1))


def check_answers(told: list[Told], runtime: Runtime) -> None:
    """Each is that of the picture that was sent, by the net that it names."""
    batch = np.concatenate([runtime.prepare(image, "picture") for image in PICTURES])
    logits = {name: runtime(batch, name).astype(np.float64) for name in runtime.names}
    for each in told:
        if each.answer is not None:
            odds = np.exp(logits[str(each.answer["subnet"])][each.picture])
            (found,) = each.answer["predictions"]  # type: ignore[misc]
            assert found["class"] == odds.argmax()
            assert found["probability"] == pytest.approx(odds.max() / odds.sum(), abs=1e-4)
