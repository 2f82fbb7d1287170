"""What the tests of pages need that not every machine has: a browser, and onnxruntime-web from npm; and folders behind
a port, as any web server gives them out."""

import json
import os
import shutil
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ddnn.deployment.ort_web import VERSION
from tests.processes import Launched

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


@contextmanager
def a_browser() -> Iterator[Any]:
    """A headless browser of this machine, driven by playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no chromium on this machine")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def onnxruntime_web() -> Path:
    """The folder of the package's files, as npm has them; asked for once on a machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "ddnn-tests"
    folder = cache / f"onnxruntime-web-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            archive = _packed(cache)
            with tarfile.open(archive) as tar:
                tar.extractall(f"{folder}.part", filter="data")
            archive.unlink()
            Path(f"{folder}.part").rename(folder)
    return folder / "package" / "dist"


def _packed(cache: Path) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("onnxruntime-web comes from npm, which is not on this machine")
    words = [npm, "pack", "--silent", f"onnxruntime-web@{VERSION}", "--pack-destination", str(cache)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    archive = cache / f"onnxruntime-web-{VERSION}.tgz"
    if result.returncode or not archive.is_file():
        pytest.skip(f"npm cannot fetch onnxruntime-web: {result.stderr.strip()[-200:]}")
    return archive


@contextmanager
def served(export: Path, *keys: object) -> Iterator[str]:
    """The address of a server of our own, in a process of its own."""
    for needed in ("starlette", "uvicorn", "multipart", "prometheus_client"):
        pytest.importorskip(needed, reason="the extra `serve` is not installed")
    process = Launched("-m", "ddnn_runtime.serving", export, "--port", 0, "--json", *keys)
    line = process.stdout.readline()
    assert line, process.communicate()
    yield json.loads(line)["url"]
    process.terminate()
    assert process.wait(60) == 0


class Folder:
    """A folder behind a port.

    Args:
        url: its address.
        asked: the paths that were asked for, in order.
    """

    def __init__(self, url: str, asked: list[str]) -> None:
        self.url, self.asked = url, asked


@contextmanager
def hosted(folder: Path, headers: Mapping[str, str] | None = None) -> Iterator[Folder]:
    """Give out a folder as static files, with these headers on each."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def end_headers(self) -> None:
            asked.append(self.path)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            super().end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Folder(f"http://127.0.0.1:{server.server_port}/", asked)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
