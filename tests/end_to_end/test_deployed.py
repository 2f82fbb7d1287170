"""What puts a server onto machines, and asks it: the files say nothing that the server does not know."""

import re
import shlex
import threading
from collections.abc import Iterator
from dataclasses import fields
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from ddnn_runtime import Runtime
from ddnn_runtime.serving.settings import ServeConfig
from tests.exports import shared_export
from tests.processes import Launched, completed

ROOT = Path(__file__).parents[2]
DEPLOY, CLIENT = ROOT / "runtime" / "deploy", ROOT / "examples" / "client.py"
KEYS = {field.name for field in fields(ServeConfig)}
"""Of the server."""


def instructions() -> dict[str, list[str]]:
    """What the Dockerfile says, by the first word of each instruction."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "Dockerfile").read_text().replace("\\\n", " ").splitlines():
        if line and not line.startswith("#"):
            word, _, rest = line.partition(" ")
            found.setdefault(word, []).append(rest.strip())
    return found


def unit() -> dict[str, list[str]]:
    """What the unit says, by key."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "ddnn-serve.service").read_text().splitlines():
        if line and line[0] not in "#[":
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def config_of(words: list[str]) -> ServeConfig:
    """The configuration that options of `ddnn-serve` stand for; it refuses what makes no sense."""
    keys = [word.removeprefix("--") for word in words[::2]]
    assert set(keys) <= KEYS
    given = dict(zip(keys, words[1::2], strict=True))
    numbers = {"port", "drain_s", "deadline_ms"}
    return ServeConfig(**{key: int(value) if key in numbers else value for key, value in given.items()})  # type: ignore[arg-type]


def test_the_container_serves_as_a_user_of_its_own() -> None:
    said = instructions()
    (start,) = (exec_form(text) for text in said["ENTRYPOINT"])
    assert start[:2] == ["ddnn-serve", "/export"]
    config = config_of(start[2:])
    assert (config.host, f"{config.port}") == ("0.0.0.0", said["EXPOSE"][0])
    assert said["STOPSIGNAL"] == ["SIGTERM"]
    assert int(said["USER"][0]) > 0
    assert f"http://127.0.0.1:{config.port}/readyz" in said["HEALTHCHECK"][0]
    (install,) = said["RUN"]
    assert "[serve]" in install
    assert said["FROM"][0].startswith("python:3.")


def exec_form(text: str) -> list[str]:
    """The words of an instruction in exec form."""
    assert text.startswith("[")
    return re.findall(r'"([^"]*)"', text)


def test_the_service_of_systemd_drains_and_reloads() -> None:
    said = unit()
    words = shlex.split(said["ExecStart"][0])
    assert words[:2] == ["/opt/ddnn/bin/ddnn-serve", "/srv/ddnn-export"]
    config = config_of(words[2:])
    assert float(said["TimeoutStopSec"][0]) > config.drain_s
    assert (config.host, config.api_key_file) == ("127.0.0.1", "%d/" + said["LoadCredential"][0].partition(":")[0])
    assert said["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
    assert (said["KillSignal"], said["DynamicUser"], said["NoNewPrivileges"]) == (["SIGTERM"], ["yes"], ["yes"])


def test_comments_name_keys_that_there_are() -> None:
    for name in ("Dockerfile", "ddnn-serve.service"):
        comments = [line for line in (DEPLOY / name).read_text().splitlines() if line.startswith("#")]
        named = {word for line in comments for word in re.findall(r"(?<![\w-])--([a-z]+_[a-z_]+)", line)}
        assert named <= KEYS


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "picture.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(path)
    return path


def test_the_client_has_fifteen_lines() -> None:
    assert len([line for line in CLIENT.read_text().splitlines()[1:] if line]) == 15


def test_the_client_asks_the_server(picture: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    export = shared_export(tmp_path_factory)
    server = Launched("-m", "ddnn_runtime.serving", export, "--port", 0, "--max_batch", 1, "--max_images", 1)
    try:
        url = re.findall(r"http://([\w.:]+)", server.stdout.readline())[0]
        asked = completed(CLIENT, url, picture, picture, __file__, timeout=60)
    finally:
        server.terminate()
    assert server.wait(60) == 0
    runtime = Runtime(export, threads=1)
    images = runtime.read(picture)
    labels = {str(runtime.class_names[runtime(images, name)[0].argmax()]) for name in runtime.names}  # type: ignore[index]
    first, second, third = asked.stdout.splitlines()
    for line in (first, second):
        assert line.split()[0] == str(picture)
        assert line.split()[1] in labels or "ms" in line  # a machine that is too slow for 50 ms says so
    assert third.startswith(__file__)
    assert "image" in third
    assert asked.returncode == 0


class Busy(BaseHTTPRequestHandler):
    """Refuses twice, then answers; a third picture it refuses for good."""

    left: ClassVar[list[int]] = []
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        code = self.left.pop(0)
        found = b'{"predictions": [{"label": "cat"}]}' if code == 200 else b'{"error": "ask later"}'
        self.send_response(code)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def busy() -> Iterator[str]:
    Busy.left = [429, 503, 200, 503, 503, 503]
    with HTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_client_asks_again_where_the_server_is_busy(busy: str, picture: Path) -> None:
    asked = completed(CLIENT, busy, picture, picture, timeout=60)
    assert asked.stdout.splitlines() == [f"{picture} cat", f"{picture} ask later"]
    assert Busy.left == []
