"""A write that is interrupted at any point leaves a network that can be read."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
import torch

from ddnn.errors import ModelFileError
from ddnn.network import storage


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
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_old_checkpoints_are_thinned(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    for epoch in range(6):
        storage.write_checkpoint(path, {"epoch": epoch}, keep=3)
    there = [file for file in storage.checkpoint_files(path) if file.exists()]
    assert [torch.load(file)["epoch"] for file in there] == [5, 4, 3]
    storage.write_checkpoint(path, {"epoch": 6}, keep=1)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_that_differs_in_one_bit_or_is_cut_short_is_not_whole(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    storage.write_checkpoint(path, {"weights": torch.arange(4.0)})
    content = path.read_bytes()
    assert storage.is_whole_checkpoint(path)
    assert ZipFile(path).testzip() is None
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1 << place % 8]) + content[place + 1 :])
        assert not storage.is_whole_checkpoint(path), place
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        assert not storage.is_whole_checkpoint(path), length


def test_a_checkpoint_of_an_older_version_has_no_seal_and_is_whole_if_its_archive_is(tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    torch.save({"weights": torch.arange(400.0)}, path)
    assert storage.is_whole_checkpoint(path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert not storage.is_whole_checkpoint(path)
