"""Directories that hold a network: `model.safetensors` and `config.json`, written whole or not at all.

The configuration carries the checksum of the weights, so a file that was truncated, edited or put together with
another's is refused. Until a new configuration is in place, the weights that the old one describes are kept aside and
found there; a write that is interrupted therefore leaves the old network. Nothing is unpickled.
"""

import hashlib
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BufferedRandom
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from ddnn.errors import ModelFileError
from ddnn.formats.staging import disk_errors, replacing, write_text
from ddnn_runtime.documents import read_document, refusing_damage
from ddnn_runtime.schema import typed
from ddnn_runtime.sealed_json import sealed

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PREVIOUS = f".{WEIGHTS}.previous"
"""The old weights while new ones are written."""
FORMAT = 1
MOST_CHECKPOINTS = 100
_SEAL = b"sha256:"
_SEAL_BYTES = len(_SEAL) + 64


@dataclass(frozen=True)
class _Weights:
    """Which weights a configuration is of."""

    sha256: str


@dataclass(frozen=True)
class _Described:
    """What a configuration says of its weights; the rest is looked at together with them."""

    weights: _Weights


def write_network(directory: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
    """Write both files into `directory`, which is made if need be.

    A network that is there is replaced; whatever goes wrong, the old or the new one can be read. Other files are left
    alone.
    """
    is_new = not directory.exists()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise ModelFileError(f"{directory} cannot be made, because a file has that name; give another path") from None
    _settle(directory)
    if (directory / WEIGHTS).is_file():
        os.replace(directory / WEIGHTS, directory / PREVIOUS)
    try:
        weights = write_tensors(directory / WEIGHTS, tensors)
        document = {"format": FORMAT, **config, "weights": {"file": WEIGHTS, "sha256": weights}}
        write_text(directory / CONFIG, sealed(document))
    except BaseException:
        if is_new:
            shutil.rmtree(directory, ignore_errors=True)
        raise
    finally:
        _settle(directory)


def read_network(directory: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the configuration that `write_network` wrote.

    Raises:
        ModelFileError: if a file is missing, damaged or changed.
    """
    config = read_config(directory)
    path = directory / WEIGHTS
    described = _described_weights(directory, config)
    if described is not None:
        return read_tensors(described), config
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; a saved network is a directory with {WEIGHTS} and {CONFIG}")
    raise ModelFileError(
        f"{path} is damaged: it is not the file that {directory / CONFIG} describes "
        "(its checksum differs); copy the directory again or take it from the run's checkpoint"
    )


def read_config(directory: Path) -> dict[str, Any]:
    """The configuration in `directory`, checked to be one of ours."""
    path = directory / CONFIG
    if not path.is_file():
        raise ModelFileError(
            f"{directory} holds no network: {path} is missing; give a directory that net.save or ddnn train wrote"
        )
    fix = "write the network again with net.save"
    config = read_document(path, dict[str, Any], sealed=True, header={"format": FORMAT}, fix=fix)
    with refusing_damage(str(path), fix):
        typed(config, _Described, closed=False)
    return config


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
    """Write a safetensors file by way of a temporary one; gives its checksum."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as partial:
        partial.touch()
        mode = partial.stat().st_mode
        with disk_errors(path):
            save_file(whole, partial, metadata={"format": "pt", **(metadata or {})})
        partial.chmod(mode)  # that of any new file; safetensors keeps it to its owner
        return checksum(partial)


def write_checkpoint(path: Path, state: Mapping[str, Any], keep: int = 1) -> None:
    """Write what torch can save by way of a file beside it, which takes its place once it is on the disk.

    Its checksum is its last bytes: the comment of the zip archive that torch writes.

    Args:
        path: of the file; there is always a whole one, unless there was none before.
        state: what to save.
        keep: how many to have; the ones before become NAME-1.ckpt, NAME-2.ckpt and so on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f"{path.name}.partial")  # always the same: processes that are killed leave one, not many
    with replacing(path, aside) as partial:
        with disk_errors(path), partial.open("w+b") as file:
            torch.save(state, file)
            _seal(file)
            file.flush()
            os.fsync(file.fileno())
        _shift(checkpoint_files(path), keep)


def checkpoint_files(path: Path) -> list[Path]:
    """`path` and the ones before it, newest first; not all need be there."""
    return [path, *(path.with_stem(f"{path.stem}-{age}") for age in range(1, MOST_CHECKPOINTS))]


def is_whole_checkpoint(path: Path) -> bool:
    """Whether a file has the checksum that `write_checkpoint` gave it; older ones have that of their archive alone."""
    content = path.read_bytes()
    body, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if seal.startswith(_SEAL):
        return seal[len(_SEAL) :] == hashlib.sha256(body).hexdigest().encode()
    return is_whole_archive(path, commented=False)


def is_whole_archive(path: Path, commented: bool = True) -> bool:
    """Whether what is in a zip archive, as torch writes it, has the checksums that it names.

    Args:
        path: of the archive.
        commented: whether it may have a comment.
    """
    try:
        with ZipFile(path) as archive:
            return (commented or not archive.comment) and archive.testzip() is None
    except Exception:  # whatever a damaged archive makes zipfile stumble over
        return False


def _seal(file: BufferedRandom) -> None:
    """Append the checksum as the comment of a zip archive that has none, whose length are the last two bytes."""
    file.seek(-2, os.SEEK_END)
    assert file.read(2) == b"\0\0", "torch writes archives without a comment"
    file.seek(-2, os.SEEK_END)
    file.write(_SEAL_BYTES.to_bytes(2, "little"))
    file.flush()
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()
    file.seek(0, os.SEEK_END)
    file.write(_SEAL + digest.encode())


def _shift(files: Sequence[Path], keep: int) -> None:
    """Make room for a new first file: each becomes the one after it, and all but `keep` go."""
    for old in files[keep - 1 :]:
        if old != files[0]:
            old.unlink(missing_ok=True)
    for age in range(keep - 2, -1, -1):
        if files[age].exists():
            if age:
                os.replace(files[age], files[age + 1])
            else:  # the newest stays in place until the new one takes it
                files[1].unlink(missing_ok=True)
                os.link(files[0], files[1])


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        ModelFileError: if the file cannot be read.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} cannot be read as safetensors: {error}") from None


def _described_weights(directory: Path, config: Mapping[str, Any]) -> Path | None:
    """The weights with the checksum in `config`; they are aside if a write was interrupted."""
    for path in (directory / WEIGHTS, directory / PREVIOUS):
        if path.is_file() and checksum(path) == config["weights"]["sha256"]:
            return path
    return None


def _settle(directory: Path) -> None:
    """After a write, whole or interrupted: drop the old weights if the new ones are described, else put them back."""
    weights, previous = directory / WEIGHTS, directory / PREVIOUS
    if not previous.is_file():
        return
    try:
        replaced = _described_weights(directory, read_config(directory)) == weights
    except ModelFileError:
        replaced = False
    if replaced:
        previous.unlink()
    else:
        os.replace(previous, weights)


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
