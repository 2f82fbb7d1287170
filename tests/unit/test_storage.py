"""A write that is interrupted at any point leaves a network that can be read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ddnn import storage
from ddnn.errors import ModelFileError


def write(directory: Path, value: float) -> None:
    storage.write_network(directory, {"weight": torch.full((3,), value)}, {"value": value})


def values(directory: Path) -> tuple[float, float]:
    tensors, config = storage.read_network(directory)
    return float(tensors["weight"][0]), config["value"]


class Killed(BaseException):
    """Stands for a signal that leaves no time to tidy up."""


def kill_at(step: int) -> Callable[..., None]:
    """An `os.replace` that works until its call number `step`; no call after that does anything."""
    calls, replace = iter(range(100)), os.replace

    def limited(*paths: Any) -> None:
        if next(calls) >= step:
            raise Killed
        replace(*paths)

    return limited


@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_write_that_is_cut_short_leaves_the_old_network(
    step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 1.0)
    (tmp_path / "notes.txt").write_text("mine")
    for new in (2.0, 3.0):
        with monkeypatch.context() as patch:
            patch.setattr(storage.os, "replace", kill_at(step))
            with pytest.raises(Killed):
                write(tmp_path, new)
        assert values(tmp_path) == (1.0, 1.0)
    write(tmp_path, 4.0)
    assert values(tmp_path) == (4.0, 4.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors", "notes.txt"]


def test_a_write_that_is_cut_short_at_the_very_end_leaves_the_new_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, 1.0)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        write(tmp_path, 2.0)
    assert (tmp_path / storage.PREVIOUS).exists()
    assert values(tmp_path) == (2.0, 2.0)
    write(tmp_path, 3.0)
    assert values(tmp_path) == (3.0, 3.0)
    assert not (tmp_path / storage.PREVIOUS).exists()


def test_a_write_that_fails_puts_the_old_network_back(tmp_path: Path) -> None:
    write(tmp_path, 1.0)
    with pytest.raises(TypeError):
        storage.write_network(tmp_path, {"weight": torch.zeros(3)}, {"value": object()})
    assert values(tmp_path) == (1.0, 1.0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_damage_is_told(tmp_path: Path) -> None:
    write(tmp_path, 1.0)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(ModelFileError, match="its checksum differs"):
        storage.read_network(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(ModelFileError, match="is missing"):
        storage.read_network(tmp_path)


def test_a_checkpoint_is_whole_or_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    storage.write_checkpoint(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        storage.write_checkpoint(path, {"epoch": 2, "code": lambda: None})
    assert torch.load(path) == {"epoch": 1}
