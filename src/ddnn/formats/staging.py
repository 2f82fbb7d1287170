"""Directories that appear complete or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddnn.errors import DDNNError


def check_new(directory: Path, option: str = "--output") -> None:
    """Raise a DDNNError unless a new directory can be made there: nothing is there, or an empty folder.

    Args:
        directory: the place.
        option: what the message calls the way to name another one.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise DDNNError(f"{directory} exists already; give another {option}, or remove it")


@contextmanager
def staged(directory: Path, option: str = "--output") -> Iterator[Path]:
    """A folder to write into, which becomes `directory` when the work is done, and vanishes if it fails.

    It lies beside `directory`, so that moving it is one operation of the file system.

    Args:
        directory: the place; nothing is there, or an empty folder.
        option: what a message calls the way to name another one.

    Raises:
        DDNNError: if `directory` exists and is not empty.
    """
    check_new(directory, option)
    directory.parent.mkdir(parents=True, exist_ok=True)
    stage = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        yield stage
        stage.chmod(0o777 & ~_umask())  # mkdtemp keeps it to its owner
        check_new(directory, option)  # another process may have been faster
        os.replace(stage, directory)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
