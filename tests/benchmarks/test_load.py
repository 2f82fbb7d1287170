"""The clients of the serving benchmark, against a server that does on purpose what a client must notice."""

import asyncio
import json
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "load" / "generator.py"


@pytest.fixture(scope="module")
def generator() -> Iterator[Any]:
    """The module, which is a script of its own."""
    import sys

    pytest.importorskip("httptools", reason="the extra serve is not installed")
    spec = spec_from_file_location("load_generator", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look there
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer by what the body says: ok, another id, an answer too many, no answer, no connection."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if line)
        said = (await reader.readexactly(int(fields["Content-Length"]))).decode()
        if said == "hang up":
            return writer.close()
        if said == "silence":
            continue
        echo = "another" if said == "another id" else fields["X-Request-Id"]
        body = json.dumps({"said": said}).encode()
        code = "503 Busy" if said == "busy" else "200 OK"
        answer = f"HTTP/1.1 {code}\r\nX-Request-Id: {echo}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        writer.write(answer * (2 if said == "twice" else 1))


def _run(generator: Any, folder: Path, says: list[str], **keys: Any) -> dict[str, Any]:
    for number, text in enumerate(says):
        (folder / f"{number:03}").write_text(text)

    async def run() -> dict[str, Any]:
        server = await asyncio.start_server(_serve, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            job = generator.Job("127.0.0.1", port, "/predict", str(folder), {}, "run-", 0.2, "", **keys)
            return await generator.Load(job).run()

    return asyncio.run(run())


def test_each_request_is_accounted_for(generator: Any, tmp_path: Path) -> None:
    says = ["ok", "busy", "another id", "hang up", "silence", "ok"]

    found = _run(generator, tmp_path, says, times=[0.0] * len(says))

    assert [asked["status"] for asked in found["asked"]] == [200, 503, 200, -1, 0, 200]
    assert [asked["own"] for asked in found["asked"]] == [True, True, False, None, None, True]
    assert [asked["image"] for asked in found["asked"]] == [*range(6)]
    assert found["asked"][0]["answer"] == {"said": "ok"}
    assert all(0 <= asked["due"] <= asked["sent"] <= asked["done"] for asked in found["asked"])
    assert found["strays"] == 0


def test_an_answer_too_many_is_noticed(generator: Any, tmp_path: Path) -> None:
    assert _run(generator, tmp_path, ["twice"], times=[0.0])["strays"] == 1


def test_clients_in_a_closed_loop_ask_again_on_their_connections(generator: Any, tmp_path: Path) -> None:
    found = _run(generator, tmp_path, ["ok"], clients=3, seconds=0.5)

    assert len(found["asked"]) > 3
    assert found["connections"] == 3
    assert {asked["status"] for asked in found["asked"]} == {200}


def test_nobody_listens(generator: Any, tmp_path: Path) -> None:
    (tmp_path / "image").write_text("ok")
    job = generator.Job("127.0.0.1", 9, "/predict", str(tmp_path), {}, "run-", 0.2, "", times=[0.0])

    assert asyncio.run(generator.Load(job).run())["asked"][0]["status"] == -1
