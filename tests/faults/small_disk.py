"""A disk of a few megabytes, which tests fill up or make unwritable; what they write elsewhere is not in danger."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MEGABYTES = 12
PAGE = 4096
FILLER = "filler"


class SmallDisk:
    """A tmpfs of its own.

    Args:
        path: where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave: int = 0) -> None:
        """Leave so many bytes free, and no more."""
        block = bytes(PAGE)
        with (self.path / FILLER).open("ab", buffering=0) as file:
            try:
                while True:
                    file.write(block)
            except OSError:
                file.truncate(file.tell() // PAGE * PAGE - leave)

    def clear(self) -> None:
        """Make room again."""
        (self.path / FILLER).unlink()

    def files(self) -> set[str]:
        """What is there, besides what fills it."""
        paths = (path.relative_to(self.path) for path in self.path.rglob("*") if path.is_file())
        return {str(path) for path in paths if path.name != FILLER and "tfevents" not in path.name}

    def make_read_only(self) -> None:
        """From now on nothing can be written, not even by root."""
        _mount("-o", "remount,ro", str(self.path))


@contextmanager
def mounted(path: Path) -> Iterator[SmallDisk]:
    """Such a disk for a while; the test is skipped where none can be mounted."""
    path.mkdir()
    try:
        _mount("-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", str(path))
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small disk takes root and the right to mount a tmpfs")
    try:
        yield SmallDisk(path)
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(*arguments: str) -> None:
    if os.name != "posix":
        raise OSError("there is no mount here")
    subprocess.run(["mount", *arguments], check=True, capture_output=True)
