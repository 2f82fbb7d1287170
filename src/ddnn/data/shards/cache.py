"""A folder of shards that were downloaded, shared by all processes and runs of a machine, of a bounded size.

A shard's name there is its checksum. So one that was changed on the server is another one, and what an index says can
name no other file. Nobody holds a shard open: it is opened for each image, and fetched again if it has been deleted in
between. That costs some microseconds, where decoding takes milliseconds, and makes the size of the folder a true bound.
"""

import errno
import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from filelock import FileLock, Timeout

from ddnn.data.shards.index import Shard
from ddnn.data.shards.remote import Interrupted, opened, retried
from ddnn.errors import DataError
from ddnn.formats.staging import replacing

GIB = 2**30
_USE_SECONDS = 10.0  # how exactly it is known when a shard was last used
_ROOM_SECONDS = 0.2  # between two looks at whether there is room


def default_folder() -> Path:
    """~/.cache/ddnn/shards, or where XDG_CACHE_HOME has it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ddnn" / "shards"


@dataclass(frozen=True)
class ShardCache:
    """Shards of a server, downloaded when they are needed.

    Args:
        url: what the shards' paths are below.
        folder: where they are kept; it is made if need be.
        most: bytes that it may hold.
    """

    url: str
    folder: Path
    most: int

    def open(self, shard: Shard) -> IO[bytes]:
        """The shard, for reading; downloaded first if need be.

        Raises:
            DataError: it cannot be downloaded or kept, or is not the shard of the index.
        """
        path = self.folder / f"{shard.sha256}.tar"
        while True:
            try:
                file = path.open("rb", buffering=0)
            except FileNotFoundError:
                self.fetch(shard)
                continue
            except OSError as error:
                raise self._not_kept(shard, error) from None
            if os.fstat(file.fileno()).st_size == shard.size:
                _mark_used(file)
                return file
            file.close()  # cut off by whatever befell the machine
            self._remove(shard, path)

    def fetch(self, shard: Shard, wait: bool = True) -> None:
        """Download a shard, unless it is there. One process does so at a time.

        Args:
            shard: which one.
            wait: for another process that is at it, rather than leave it to that one.

        Raises:
            DataError: as of `open`.
        """
        path = self.folder / f"{shard.sha256}.tar"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock"), blocking=wait):
                if not path.exists():
                    self._download(shard, path)
        except Timeout:
            return
        except OSError as error:
            raise self._not_kept(shard, error) from None

    def name(self, shard: Shard) -> str:
        """What messages call a shard."""
        return f"{self.url}/{shard.path}"

    def _remove(self, shard: Shard, path: Path) -> None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise self._not_kept(shard, error) from None

    def _not_kept(self, shard: Shard, error: OSError) -> DataError:
        full = error.errno == errno.ENOSPC
        reason = "the disk is full" if full else error.strerror or error
        return DataError(
            f"Cannot keep {self.name(shard)} in {self.folder}: {reason}; train with another folder (--shards.cache) or "
            f"{'less room (--shards.cache_gib)' if full else 'mend its permissions'}; otherwise the folder is below "
            "XDG_CACHE_HOME"
        )

    def _download(self, shard: Shard, path: Path) -> None:
        partial = path.with_suffix(".partial")
        self._reserve(shard, partial)
        with replacing(path, partial):
            retried(lambda: self._copy(shard, partial), self.name(shard))

    def _copy(self, shard: Shard, partial: Path) -> None:
        digest, received = hashlib.sha256(), 0
        with opened(self.name(shard)) as stream, partial.open("r+b") as file:
            while content := stream.read(1 << 20):
                digest.update(content)
                received += len(content)
                if received > shard.size:
                    break
                file.write(content)
            file.flush()
            os.fsync(file.fileno())
        changed = "if it was changed, index anew with ddnn shards index"
        if received != shard.size:
            more = "more" if received > shard.size else f"{received} bytes"
            raise Interrupted(f"it has {shard.size} bytes by the index, and {more} came; {changed}")
        if digest.hexdigest() != shard.sha256:
            raise Interrupted(f"its checksum is not that of the index; {changed}")

    def _reserve(self, shard: Shard, partial: Path) -> None:
        """Take the room for a shard with an empty file of its size, once there is room."""
        if shard.size > self.most:
            raise DataError(
                f"{self.name(shard)} has {shard.size / GIB:.3g} GiB, more than the {self.most / GIB:.3g} that "
                "the cache may hold: train with more (--shards.cache_gib)"
            )
        partial.unlink(missing_ok=True)  # of a process that was killed
        while not self._took_room(shard.size, partial):
            time.sleep(_ROOM_SECONDS)  # until a download is whole, and may be deleted for this one

    def _took_room(self, size: int, partial: Path) -> bool:
        """Delete what was not used for longest, as far as need be; whether that was enough, and the room is taken."""
        with FileLock(self.folder / "room.lock"):
            kept = sorted(self._kept())
            room = self.most - sum(held for _, held, _ in kept)
            for _, held, path in kept:
                if room < size and not _is_on_its_way(path):
                    path.unlink(missing_ok=True)
                    room += held
            if room >= size:
                with partial.open("wb") as file:
                    file.truncate(size)
            return room >= size

    def _kept(self) -> Iterator[tuple[float, int, Path]]:
        """(time of the last use, bytes, path) of shards, whole or still on their way."""
        for path in self.folder.iterdir():
            if path.suffix in (".tar", ".partial"):
                try:
                    status = path.stat()
                except FileNotFoundError:  # a download has ended
                    continue
                yield status.st_mtime, status.st_size, path


def _is_on_its_way(path: Path) -> bool:
    """Whether a process is downloading it; one that was killed holds no lock any more."""
    if path.suffix == ".tar":
        return False
    try:
        with FileLock(path.with_suffix(".lock"), blocking=False):
            return False
    except Timeout:
        return True


def _mark_used(file: IO[bytes]) -> None:
    if time.time() - os.fstat(file.fileno()).st_mtime > _USE_SECONDS:
        with suppress(OSError):  # of another user's shard, or on a disk that is only read
            os.utime(file.fileno())
