"""A server that is treated badly stays up, says what was wrong, and answers whatever it has accepted, once."""

import asyncio
import json
import shutil
import signal
import socket
import struct
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from ddnn_runtime.manifest import MANIFEST, WEIGHTS
from tests.exports import shared_export
from tests.faults.small_disk import mounted
from tests.served import Server, picture, serving, write_profile


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_export(tmp_path_factory)


@pytest.fixture(scope="module")
def profile(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_profile(original, tmp_path_factory.mktemp("profile") / "profile.json")


@pytest.fixture(scope="module")
def server(original: Path, profile: Path) -> Iterator[Server]:
    limits = ("--max_bytes", 200_000, "--max_images", 4, "--max_pixels", 1_000_000)
    with serving(original, *limits, profile=profile) as running:
        yield running
        assert running.predict(picture()).status_code == 200
        assert running.end() == (0, "")  # nothing went wrong by its own fault


def connected(server: Server) -> socket.socket:
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def ask(body: bytes, *headers: str, length: int | None = None) -> bytes:
    lines = ["POST /predict HTTP/1.1", "Host: here", *headers]
    lines += [] if any("chunked" in line for line in headers) else [f"Content-Length: {length or len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def answered(connection: socket.socket) -> tuple[int, dict[str, Any]]:
    """Status and JSON of a response."""
    file = connection.makefile("rb")
    status = int(file.readline().split()[1])
    length = 0
    while (line := file.readline().strip()) != b"":
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    return status, json.loads(file.read(length))


def png(width: int, height: int) -> bytes:
    """A few bytes that say they are many pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def test_an_image_of_ten_thousand_times_ten_thousand_pixels_is_refused_by_its_header(server: Server) -> None:
    for images in ((png(10_000, 10_000),), (picture(), png(10_000, 10_000))):
        response = server.predict(*images)
        assert response.status_code == 413
        assert "it has more than the 1,000,000 pixels that are allowed (max_pixels)" in response.json()["error"]
    assert server.predict(png(100, 100)).status_code == 400  # which is cut short


def test_too_many_bytes_are_refused_before_they_are_sent(server: Server) -> None:
    with closing(connected(server)) as connection:
        connection.sendall(ask(b"", length=200_001))
        status, told = answered(connection)
    assert (status, "at most 200,000 bytes (max_bytes)" in told["error"]) == (413, True)


def test_too_many_bytes_in_pieces_are_refused_while_they_come(server: Server) -> None:
    with closing(connected(server)) as connection:
        connection.sendall(ask(b"", "Transfer-Encoding: chunked"))
        for _ in range(3):
            connection.sendall(b"%x\r\n%s\r\n" % (70_000, bytes(70_000)))
        assert answered(connection)[0] == 413  # and the end has not come


def test_pieces_without_a_length_are_an_image_all_the_same(server: Server) -> None:
    image = picture()
    with closing(connected(server)) as connection:
        connection.sendall(ask(b"", "Transfer-Encoding: chunked"))
        for start in range(0, len(image), 1000):
            piece = image[start : start + 1000]
            connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.sendall(b"0\r\n\r\n")
        assert answered(connection)[0] == 200


def test_too_many_images_are_refused(server: Server) -> None:
    response = server.predict(*[picture()] * 5)
    assert (response.status_code, "at most 4 images (max_images)" in response.json()["error"]) == (413, True)
    assert server.predict(*[picture()] * 4).status_code == 200


def test_half_an_image_and_a_client_that_is_gone(server: Server) -> None:
    image = picture(size=(200, 200))
    for sent in (0, 10, len(image) // 2):
        with closing(connected(server)) as connection:
            connection.sendall(ask(image[:sent], length=len(image)))
    for request in (b"", b"POST", b"POST /predict HTTP/1.1\r\nHost: he", ask(image)):
        with closing(connected(server)) as connection:
            connection.sendall(request)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
    assert server.predict(image[: len(image) // 2]).status_code == 400


def test_what_is_no_http_is_told_so(server: Server) -> None:
    for words in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"hello\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        with closing(connected(server)) as connection:
            connection.sendall(words)
            assert connection.recv(1000)[:12] in (b"HTTP/1.1 400", b"")


def test_headers_without_end_are_cut_off(server: Server) -> None:
    for line in (b"X: y\r\n", b"y" * 1000):
        with closing(connected(server)) as connection, pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012
            connection.sendall(b"GET /nets HTTP/1.1\r\nX: ")
            for _ in range(1000):
                connection.sendall(line * 1000)


def test_who_hangs_up_while_waiting_makes_room(original: Path, profile: Path, tmp_path: Path) -> None:
    options = ("--max_queue", 2, "--max_images", 2, "--access_log", tmp_path / "log")
    with serving(original, *options, profile=profile) as server:
        gone = [connected(server) for _ in range(20)]
        for connection in gone:
            connection.sendall(ask(picture()))
            connection.close()
        assert server.predict(picture()).status_code in (200, 429)
        while server.get("/status")["queue"]:
            pass
        assert server.predict(picture(), picture()).status_code == 200
        assert server.end()[0] == 0
    lines = (tmp_path / "log").read_text().splitlines()
    assert sum('"POST /predict" ' in line for line in lines) == 22


async def _many(url: str, count: int, at_once: int) -> list[tuple[int, dict[str, Any]]]:
    """The responses to so many requests, from so many connections."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=120) as client:

        async def one(number: int) -> tuple[int, dict[str, Any]]:
            response = await client.post("/predict", content=picture(number % 7), headers={"X-Top": "7"})
            return response.status_code, {**response.json(), "number": number % 7}

        return await asyncio.gather(*(one(number) for number in range(count)))


@pytest.mark.parametrize("at_once", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_thousand_connections_at_once_get_their_own_answers_or_a_refusal(
    at_once: int, original: Path, profile: Path
) -> None:
    with serving(original, "--max_queue", 64, profile=profile) as server:
        expected = {number: server.predict(picture(number), top=7).json()["predictions"] for number in range(7)}
        told = asyncio.run(_many(server.url, at_once, at_once))
        assert {status for status, _ in told} <= {200, 429}
        good = [answer for status, answer in told if status == 200]
        assert len({answer["id"] for answer in good}) == len(good) > 0
        for answer in good:
            found = [each["probability"] for each in answer["predictions"][0]["top"]]
            wanted = [each["probability"] for each in expected[answer["number"]][0]["top"]]
            assert found == pytest.approx(wanted, abs=1e-4)
        status = server.get("/status")
        assert sum(status["answered"].values()) == len(good) + 7
        assert status["refused"] == at_once - len(good)
        assert server.end() == (0, "")


def damaged(how: str, export: Path) -> None:
    """Put something into the folder that is no export."""
    if how == "weights in place":
        with (export / WEIGHTS).open("r+b") as file:
            file.write(bytes(4096))
    elif how == "weights cut short":
        with (export / WEIGHTS).open("r+b") as file:
            file.truncate(0)
    elif how == "no weights":
        (export / WEIGHTS).unlink()
    elif how == "another graph":
        shutil.copyfile(export / "resnet8.onnx", export / "resnet20.onnx")
    elif how == "half a manifest":
        (export / MANIFEST).write_text((export / MANIFEST).read_text()[:500])
    elif how == "a link":
        (export / WEIGHTS).rename(export.parent / "elsewhere")
        (export / WEIGHTS).symlink_to(export.parent / "elsewhere")
    elif how == "nothing":
        shutil.rmtree(export)
    else:
        document = json.loads((export / MANIFEST).read_text())
        document["num_classes"] = 9
        (export / MANIFEST).write_text(json.dumps(document))


DAMAGES = (
    "weights in place",
    "weights cut short",
    "no weights",
    "another graph",
    "half a manifest",
    "nothing",
    "a link",
    "lies",
)


@pytest.fixture(scope="module")
def sharing(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export whose weights stay in the pages of the file."""
    export = Path(shutil.copytree(original, tmp_path_factory.mktemp("sharing") / "export"))
    document = json.loads((export / MANIFEST).read_text())
    document["sharing_pays"] = True
    del document["checksum"]
    (export / MANIFEST).write_text(json.dumps(document))
    return export


@pytest.fixture(scope="module")
def exchanged(sharing: Path, profile: Path) -> Iterator[tuple[Server, Path]]:
    """A server, and the folder that it serves."""
    export = Path(shutil.copytree(sharing, sharing.parent / "exchanged"))
    with serving(export, profile=profile) as running:
        yield running, export


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_export_is_not_taken_up_and_the_one_of_before_goes_on(
    how: str, exchanged: tuple[Server, Path], sharing: Path
) -> None:
    server, export = exchanged
    expected = server.predict(picture(), top=7).json()["predictions"]
    damaged(how, export)
    assert server.predict(picture(), top=7).json()["predictions"] == expected  # before anybody has looked
    response = server.client.post("/reload")
    assert response.status_code == 409
    assert response.json()["error"].startswith("not taken up, the export of before goes on: ")
    assert str(export) in response.json()["error"]
    assert "not taken up" in server.said("reload: ")
    server.send(signal.SIGHUP)
    assert "is not taken up, the export of before goes on: " in server.said("reload: ")
    assert server.predict(picture(), top=7).json()["predictions"] == expected
    shutil.rmtree(export, ignore_errors=True)
    shutil.copytree(sharing, export)
    assert server.client.post("/reload").json()["reloaded"] is True
    assert "is served as it is now" in server.said("reload: ")
    assert server.predict(picture(), top=7).json()["predictions"] == expected


async def _through(server: Server, act: Any, count: int = 200) -> list[tuple[int, Any]]:
    """Ask all the time, from 20 connections, while something is done; gives status and JSON of what was answered, and
    0 with an error where a connection ended."""
    begun = asyncio.Event()
    told: list[tuple[int, Any]] = []
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:

        async def ask_on(number: int) -> None:
            for _ in range(count // 20):
                try:
                    response = await client.post("/predict", content=picture(number), headers={"X-Subnet": "resnet20"})
                except httpx.TransportError as error:
                    told.append((0, repr(error)))
                    return
                told.append((response.status_code, response.json()))
                if len(told) > 40:
                    begun.set()

        asking = [asyncio.create_task(ask_on(number)) for number in range(20)]
        await asyncio.wait_for(begun.wait(), 60)
        await asyncio.to_thread(act)
        await asyncio.gather(*asking)
    return told


def test_no_request_is_lost_while_exports_are_exchanged(exchanged: tuple[Server, Path]) -> None:
    server, _ = exchanged

    def reload_often() -> None:
        for _ in range(3):
            assert server.client.post("/reload").status_code == 200

    told = asyncio.run(_through(server, reload_often))
    assert [each for each in told if each[0] != 200] == []
    assert len(told) == 200
    assert len({answer["id"] for _, answer in told}) == 200


def test_sigterm_under_load_answers_what_was_accepted_and_exits_with_0(
    original: Path, profile: Path, tmp_path: Path
) -> None:
    with serving(original, "--access_log", tmp_path / "log", profile=profile) as server:
        told = asyncio.run(_through(server, lambda: server.send(signal.SIGTERM), count=4000))
        assert server.process.wait(30) == 0
        _, said = server.process.communicate()
    assert said == ""
    good = [answer["id"] for status, answer in told if status == 200]
    assert {status for status, _ in told} <= {0, 200, 503}
    assert len(set(good)) == len(good) > 40
    logged = [line for line in (tmp_path / "log").read_text().splitlines() if " 200 " in line]
    numbers = [int(line.partition(" id=")[2].split()[0]) for line in logged]
    assert sorted(numbers) == sorted(good)  # whatever was answered has arrived


def test_a_drain_that_takes_too_long_is_cut_with_a_word(original: Path, profile: Path) -> None:
    with serving(original, "--drain_s", 0.2, profile=profile) as server, closing(connected(server)) as connection:
        connection.sendall(ask(picture()[:100], length=5000))  # the rest never comes
        assert server.get("/readyz") == {"ready": True}
        server.send(signal.SIGTERM)
        status, told = answered(connection)
        assert (status, told["error"]) == (503, "this server ends; ask another one")
        assert server.process.wait(30) == 0


def test_a_full_disk_for_the_log_is_said_once_and_stops_nothing(original: Path, profile: Path, tmp_path: Path) -> None:
    with mounted(tmp_path / "disk") as disk:
        log = disk.path / "access.log"
        with serving(original, "--access_log", log, profile=profile) as server:
            server.predict(picture()).raise_for_status()
            while not log.read_text().endswith("\n"):
                pass
            disk.fill()
            for _ in range(100):
                server.predict(picture()).raise_for_status()
            assert "No space left on device); requests are answered all the same" in server.said("access log")
            disk.clear()
            server.client.get("/healthz", headers={"X-Request-Id": "after"})
            assert "goes on" in server.said("access log")
            assert server.end() == (0, "")
            lines = log.read_text().splitlines()
            assert "after" in lines[-1]
            assert lines[0].count("/predict") == 1
            log.unlink()
