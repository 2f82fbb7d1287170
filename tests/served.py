"""A real server in a process of its own, with made-up times of its nets, so that it starts at once and decides the same
on every machine. It is forked from a process that has imported everything, unless a test is about that."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

from ddnn_runtime.cores import cores
from ddnn_runtime.manifest import Manifest
from tests.processes import Launched

MS = {"resnet8": 1.0, "resnet14": 2.0, "resnet20": 3.0}
"""Of a call with one image; a larger batch takes as much more."""
SIZES = (1, 2, 4, 8, 16)


def picture(number: int = 0, size: tuple[int, int] = (40, 36), kind: str = "PNG") -> bytes:
    """An image file that differs from those of other numbers."""
    file = BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


def write_profile(export: Path, path: Path, ms: Mapping[str, float] = MS) -> Path:
    """A profile of this device, as `ddnn profile` writes it, as far as a server reads it."""
    manifest = Manifest.read(export)
    condition = {"runtime": "onnx", "precision": "fp32", "image_size": manifest.input_shape[1:], "threads": cores()}
    measured = [
        {
            "condition": {**condition, "batch_size": size},
            "nets": {name: {"p95_ms": ms[name] * size} for name in manifest.names},
        }
        for size in SIZES
    ]
    document = {"kind": "ddnn profile", "format": 1, "weights": manifest.checksum, "measured": measured}
    path.write_text(json.dumps(document))
    return path


class Server:
    """A process that serves.

    Args:
        process: of which the first line of output has been read.
        url: where.
    """

    def __init__(self, process: "subprocess.Popen[str] | Launched", url: str) -> None:
        self.process, self.url = process, url
        self.client = httpx.Client(base_url=url, timeout=60)

    def predict(self, *images: bytes, **wishes: Any) -> httpx.Response:
        """The response to images, in a form if there are several or none."""
        headers = {f"X-{key.replace('_', '-')}": str(value) for key, value in wishes.items()}
        if len(images) == 1:
            return self.client.post("/predict", content=images[0], headers=headers)
        files = [("image", (f"{place}.png", image)) for place, image in enumerate(images)]
        return self.client.post("/predict", files=files, headers=headers)

    def get(self, path: str, **options: Any) -> Any:
        """JSON from a path."""
        return self.client.get(path, **options).raise_for_status().json()

    def metrics(self) -> dict[str, float]:
        """Of Prometheus, by name and labels."""
        lines = [line for line in self.client.get("/metrics").text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Have it drain; gives its exit status and what it said on standard error."""
        self.send(number)
        _, said = self.process.communicate(timeout=60)
        self.client.close()
        return self.process.returncode, said

    def said(self, what: str) -> str:
        """The next line on standard error that has these words."""
        assert self.process.stderr is not None
        return next(line for line in self.process.stderr if what in line)


@contextmanager
def serving(
    export: Path, *options: object, profile: Path | None = None, cold: tuple[str, ...] = ()
) -> Iterator[Server]:
    """A server for a while, which must be able to end by itself.

    Args:
        export: what is served.
        *options: of the command.
        profile: its times; None has them measured.
        cold: what Python starts with, in a process that has imported nothing; nothing forks one.
    """
    words = [export, "--port", "0", "--json", *([] if profile is None else ["--profile", profile]), *options]
    if cold:
        command = [sys.executable, *cold, *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    else:
        process = Launched("-m", "ddnn_runtime.serving", *words)
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    server = Server(process, json.loads(line)["url"])
    try:
        yield server
    finally:
        server.client.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                raise
