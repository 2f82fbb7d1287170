import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ddnn.data.shards import remote
from ddnn.data.shards.writing import write_shards
from tests.unit.data.shards.server import Server


@pytest.fixture(scope="session")
def make_tar() -> Callable[..., Path]:
    """Write {"a.jpg": b"...", "a.cls": 3, "a.json": {...}} as a plain tar, with nothing of ours."""

    def make(path: Path, files: dict[str, Any], mode: str = "w") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            for name, content in files.items():
                text = json.dumps(content) if isinstance(content, dict) else str(content)
                data = content if isinstance(content, bytes) else text.encode()
                info = tarfile.TarInfo(name)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        return path

    return make


@pytest.fixture
def written(make_folder, tmp_path) -> tuple[Path, Path]:
    """A folder of images, and the shards that were written from it: seven of training, two of validation."""
    folder = make_folder({"train/cat": 9, "train/dog": 12, "val/cat": 3, "val/dog": 4}, size=(70, 80))
    write_shards(folder, tmp_path / "shards", shard_mib=0.06)
    return folder, tmp_path / "shards"


@pytest.fixture
def server(written, monkeypatch):
    """The written shards on a server of this machine, which can be told to fail."""
    monkeypatch.setattr(remote, "WAITS", (0.01, 0.01))
    with Server(written[1]) as running:
        yield running
