"""Files and directories that appear complete or not at all: whatever ddnn writes for others to read is written aside
first, and then moved, which is one operation of the file system."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
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
        DDNNError: if `directory` exists and is not empty, or cannot be made.
    """
    check_new(directory, option)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    except OSError as error:
        raise DDNNError(f"{directory} cannot be made: {error.strerror}; give another {option}") from None
    try:
        yield stage
        stage.chmod(0o777 & ~_umask())  # mkdtemp keeps it to its owner
        check_new(directory, option)  # another process may have been faster
        os.replace(stage, directory)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def replacing(path: Path, aside: Path | None = None) -> Iterator[Path]:
    """A file to write, which takes the place of `path` when the work is done, and vanishes if it fails.

    Args:
        path: of the file; its folder is there. What was there before is replaced.
        aside: where to write, in the same file system; by default beside it, under a name of this process's.

    Yields:
        Where to write.

    Example:
        >>> path = getfixture("tmp_path") / "table.csv"
        >>> with replacing(path) as partial:
        ...     _ = partial.write_text("net,accuracy")
        ...     path.exists()
        False
        >>> path.read_text()
        'net,accuracy'
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}") if aside is None else aside
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file, whole or not at all."""
    with replacing(path) as partial, disk_errors(path):
        partial.write_bytes(content)


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a folder, which is made if need be, all of them aside before the first one appears."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        for name, content in reversed(list(files.items())):  # for what is written last is moved first
            partial = stack.enter_context(replacing(folder / name))
            with disk_errors(folder / name):
                partial.write_bytes(content)


@contextmanager
def reserved(folder: Path) -> Iterator[None]:
    """Make a folder before minutes are spent on what goes into it; if that fails, what was made is removed.

    Raises:
        OSError: if it cannot be made, or nothing can be written into it.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
        yield
    except BaseException:
        for path in made:
            with suppress(OSError):  # somebody else has put something there
                path.rmdir()
        raise


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """What goes wrong with the disk is an OSError that names the file, whatever torch, safetensors or onnx raise.

    Raises:
        OSError: for an error of the operating system; other errors are let through.
    """
    try:
        yield
    except Exception as error:
        code = _system_error(error)
        if code is None:
            raise
        raise OSError(code, os.strerror(code), str(path)) from None


def _system_error(error: BaseException | None) -> int | None:
    """The number of the operating system's error that is behind this one, as a cause or in the words of Rust."""
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            return error.errno
        if told := re.search(r"\(os error (\d+)\)", str(error)):
            return int(told[1])
        error = error.__cause__ or error.__context__
    return None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
