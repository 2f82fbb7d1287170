"""An export as a server opens it: a copy that nobody can change under it, all nets open, and a table of their times.

onnxruntime leaves parts of the weights in the file's pages. A file that is cut short while it is open so would end the
process with a bus error, and one that is overwritten would change its answers. So the server opens a copy of its own,
whose checksums hold, and deletes it once everything is open: what is in the folder afterwards is for the next `reload`.
"""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from ddnn_runtime.cascade_spec import participants
from ddnn_runtime.cores import cores
from ddnn_runtime.errors import DDNNError, ModelFileError, near
from ddnn_runtime.manifest import MANIFEST, Manifest, path_inside
from ddnn_runtime.runtime import Runtime
from ddnn_runtime.serving.settings import ServeConfig
from ddnn_runtime.serving.table import Table, from_profile, measured


@dataclass(frozen=True)
class Opened:
    """An export that is open.

    Args:
        runtime: all nets of it are loaded; its files are needed no more.
        table: what they cost here.
    """

    runtime: Runtime
    table: Table


def open_export(export: Path, config: ServeConfig, before: Opened | None = None) -> Opened:
    """Open an export and measure its nets.

    Args:
        export: its folder.
        config: how it will be served.
        before: what is served now. Its times are taken over if it has the same nets, because those that are measured
            beside a running server would be too long.

    Raises:
        DDNNError: it is damaged, or cannot be served as the configuration says.
    """
    threads = max(1, cores() // config.workers) if config.threads is None else config.threads
    with _copied(export) as copy:
        runtime = Runtime(copy, threads=threads, max_pixels=config.max_pixels)
        runtime.load()
    runtime.directory = export
    if config.subnet not in (None, *runtime.names):  # found out before the nets are measured
        raise DDNNError(
            f"there is no sub-net {config.subnet!r} that could answer all; {near(config.subnet, runtime.names)}"
        )
    if before is not None and _alike(before.runtime.manifest, runtime.manifest):
        return Opened(runtime, _with_accuracies(before.table, runtime.manifest))
    if config.profile is not None:
        return Opened(runtime, from_profile(config.profile, runtime, config.max_batch))
    return Opened(runtime, measured(runtime, config.max_batch, workers=config.workers))


def real_image(runtime: Runtime) -> np.ndarray:
    """A picture that goes the way of all pictures, from the bytes of a file on, (1, channels, height, width); zeros for
    an export that takes prepared images only."""
    channels, height, width = runtime.manifest.input_shape
    if runtime.manifest.data is None:
        return np.zeros((1, channels, height, width), dtype=np.float32)
    file = io.BytesIO()
    Image.radial_gradient("L").resize((width, height)).save(file, "PNG")
    return runtime.prepare(file.getvalue(), "the server's own picture")


@contextmanager
def _copied(export: Path) -> Iterator[Path]:
    """A copy for a while; what is wrong with it is said of the original."""
    try:
        with TemporaryDirectory(prefix="ddnn-serve-") as folder:
            copy = Path(folder) / "export"
            try:
                _copy(export, copy)
                yield copy
            except DDNNError as error:
                raise type(error)(str(error).replace(str(copy), str(export))) from None
    except OSError as error:
        raise ModelFileError(f"{export} cannot be copied to a temporary folder: {error}") from None


def _copy(export: Path, copy: Path) -> None:
    """What the manifest names; a file that is not there is missed when the copy is opened."""
    copy.mkdir()
    _copy_file(export / MANIFEST, copy / MANIFEST)
    for file in Manifest.described(copy).files:
        _copy_file(path_inside(export, file.file), copy / file.file)


def _copy_file(path: Path, copy: Path) -> None:
    if path.is_file():
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)


def _alike(old: Manifest, new: Manifest) -> bool:
    """Whether nets take the same time: they are of the same depth and size, on images of the same size."""
    return _sizes(old) == _sizes(new)


def _sizes(manifest: Manifest) -> tuple[object, ...]:
    nets = {name: (net.depth, net.macs, net.parameters) for name, net in manifest.nets.items()}
    cascade = (
        None
        if manifest.cascade is None
        else participants(manifest.names, manifest.cascade.thresholds, manifest.cascade.last)
    )
    return manifest.input_shape, manifest.precision, nets, cascade, len(manifest.pieces)


def _with_accuracies(table: Table, manifest: Manifest) -> Table:
    cascade = None if manifest.cascade is None else manifest.cascade.expected.accuracy
    accuracies = {name: net.accuracy for name, net in manifest.nets.items()}
    return replace(table, accuracies=accuracies, cascade_accuracy=cascade)
