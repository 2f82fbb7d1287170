"""Make shards from a folder of images, or an index of shards that there are: what `ddnn shards` does."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from ddnn.data.shards.index import FILE, ShardIndex, write_index
from ddnn.data.shards.indexing import expand, find_shards, index_shards
from ddnn.data.shards.remote import is_remote
from ddnn.data.shards.writing import CLASSES, write_shards
from ddnn.data.splits import require_folder
from ddnn.errors import DataError, DDNNError
from ddnn_runtime.image_files import LeftOut


class Made(NamedTuple):
    """What is in the shards, where they or their index are, and what was left out of the folder."""

    contents: ShardIndex
    place: str
    left_out: tuple[LeftOut, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What `ddnn shards --json` prints."""
        return {
            "output": self.place,
            "images": len(self.contents.samples),
            "classes": len(self.contents.class_names),
            "shards": len(self.contents.shards),
            "left_out": [*self.contents.left_out, *(f"{path} ({reason})" for path, reason in self.left_out)],
            "bytes": sum(shard.size for shard in self.contents.shards),
        }


def make_shards(folder: str | Path, output: str | Path, shard_size_mib: float = 256) -> Made:
    """Write shards and their index from a folder of images.

    Args:
        folder: train/CLASS/* and val/CLASS/*, as `--data folder:PATH` takes it.
        output: the folder to make.
        shard_size_mib: about the size of a shard, in MiB.

    Raises:
        DDNNError: the images cannot be read, or `output` exists or cannot be written.
    """
    if not 0 < shard_size_mib < inf:
        raise DataError(f"--shard-size-mib must be over 0, not {shard_size_mib}")
    with _nothing_written():
        index, left_out = write_shards(Path(folder).expanduser(), Path(output).expanduser(), shard_size_mib)
    return Made(index, str(output), left_out)


def make_index(
    root: str,
    patterns: Mapping[str, Iterable[str]],
    classes: str | Path | None = None,
    output: str | Path | None = None,
    *,
    replace: bool = False,
) -> Made:
    """Index tars that there are; each is read once.

    Args:
        root: the folder or URL that has the shards.
        patterns: shards below it for train, validation and test, as in "train-{00..31}.tar"; in a folder, none at all
            means those that are called by their split.
        classes: a file with the names of the classes, one a line; None means the one beside the shards, or numbers.
        output: the index; None means beside the shards.
        replace: write anew over an index that is there.

    Raises:
        DDNNError: a shard cannot be read, or the index is there already or cannot be written.
    """
    root = root if is_remote(root) else str(Path(root).expanduser())
    place = _place(root, None if output is None else Path(output).expanduser(), replace)
    splits = {split: [path for pattern in given for path in expand(pattern)] for split, given in patterns.items()}
    if not any(splits.values()):
        if is_remote(root):
            raise DataError(f"which shards {root} has is to be said: --train 'train-{{0000..0145}}.tar', --val, --test")
        splits = find_shards(Path(root))
    with _nothing_written():
        index = index_shards(root, splits, _class_names(root, classes))
        write_index(index, place)
    return Made(index, str(place))


@contextmanager
def _nothing_written() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        raise DDNNError(f"{where}{error.strerror or error}; nothing was written") from None


def _place(root: str, output: Path | None, replace: bool) -> Path:
    """Where the index goes."""
    if not is_remote(root):
        require_folder(Path(root), "give the folder that has the shards")
    if output is None and is_remote(root):
        raise DataError(f"an index cannot be written to {root}: give --output FILE, and then copy it there")
    place = Path(root) / FILE if output is None else output
    if place.exists() and not replace:
        raise DataError(f"{place} exists already; give --replace to write it anew, or another --output")
    return place


def _class_names(root: str, given: str | Path | None) -> list[str] | None:
    path = Path(root) / CLASSES if given is None else Path(given)
    if given is None and not path.is_file():
        return None
    try:
        names = [name.strip() for name in path.expanduser().read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read the names of the classes in {path}: {error}") from None
    if not names or not all(names) or len(set(names)) < len(names):
        raise DataError(f"{path} must have one name a line, in the order of the classes, none empty and none twice")
    return names
