"""Which subject a path holds. Torch is imported only for a network."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ddnn.profiles.subject import Subject
from ddnn_runtime.manifest import is_export


@contextmanager
def open_subject(run: Path, device: str) -> Iterator[Subject]:
    """What is at a path: a run directory or a saved network, or an export.

    Args:
        run: the directory.
        device: where to run it: auto, cpu, cuda or mps.

    Raises:
        ModelFileError: if it holds neither, or is damaged.
        DDNNError: if this machine has no such device.
    """
    with TemporaryDirectory(prefix="ddnn-") as workspace:
        if is_export(run):
            from ddnn.profiles.export_subject import ExportSubject

            yield ExportSubject(run, device)
        else:
            from ddnn.profiles.network_subject import open_network

            yield open_network(run, device, Path(workspace))
