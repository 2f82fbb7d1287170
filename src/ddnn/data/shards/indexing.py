"""From tars to their index: each is read once from its beginning to its end, here or on a server."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ddnn.data.shards.index import SPLITS, Shard, ShardIndex, Split, check_path, table_of
from ddnn.data.shards.remote import check_url, is_remote, opened, retried
from ddnn.data.shards.tars import Hashed, LeftOut, Sample, read_samples
from ddnn.errors import DataError

_NAMES = {"train": ("train",), "validation": ("val", "validation"), "test": ("test",)}
_MOST_CLASSES = 100_000
_MOST = 1_000_000  # shards that a pattern may stand for
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d{1,9})\.\.(\d{1,9})", re.ASCII)


def index_shards(
    root: str, splits: Mapping[str, Sequence[str]], class_names: Sequence[str] | None = None
) -> ShardIndex:
    """Read all shards, and say what is in them.

    Args:
        root: a folder, or a URL.
        splits: the paths of the shards below it, for train, validation and test, or some of these.
        class_names: one per class, in label order; None calls classes by their numbers, up to the largest that occurs.

    Raises:
        DataError: a shard cannot be read, is no tar, or has an image without a class or with one that has no name.

    >>> index_shards("/data", {"train": ["../000000.tar"]})
    Traceback (most recent call last):
    ...
    ddnn_runtime.errors.DataError: '../000000.tar' is no path of a shard: it must be letters, digits and ._+=@- with / \
between folders, stay below the root and end in .tar
    """
    shards: list[Shard] = []
    rows: list[tuple[int, str, int, int, int]] = []
    left_out: list[str] = []
    for split in SPLITS:
        for path in splits.get(split, ()):
            shard, samples, left = _read(root, path, split)
            left_out += [f"{path}: {file} ({reason})" for file, reason in left]
            _check_labels(samples, class_names, path)
            rows += [(len(shards), key, offset, size, label) for key, offset, size, label in samples]
            shards.append(shard)
    if not rows:
        some = f"; left out: {_some(left_out)}" if left_out else ""
        raise DataError(f"There are no images in the shards of {root}: expected KEY.jpg and KEY.cls in each{some}")
    names = class_names or _numbered(max(rows, key=lambda row: row[-1]))
    return ShardIndex(tuple(names), tuple(shards), table_of(rows), tuple(left_out))


def _some(texts: Sequence[str]) -> str:
    return ", ".join(texts[:5]) + (f" and {len(texts) - 5} more" if len(texts) > 5 else "")


def _numbered(last: tuple[int, str, int, int, int]) -> list[str]:
    _, key, _, _, label = last
    if label >= _MOST_CLASSES:
        raise DataError(
            f"{key} is of class {label}, and classes without names are numbered from 0 to at most {_MOST_CLASSES - 1}: "
            "name them with --classes, or number them so"
        )
    return [str(number) for number in range(label + 1)]


def find_shards(root: Path) -> dict[str, list[str]]:
    """The shards below a folder: train/*.tar or *train-*.tar, and likewise val or validation, and test.

    Raises:
        DataError: there are none.
    """
    paths = sorted(path.relative_to(root).as_posix() for pattern in ("*.tar", "*/*.tar") for path in root.glob(pattern))
    found = {split: [path for path in paths if _is_of(path, names)] for split, names in _NAMES.items()}
    if not any(found.values()):
        raise DataError(
            f"{root} has no shards that are called by their split, such as train/000000.tar or train-000000.tar: name "
            "them with --train, --val and --test"
        )
    return found


def _is_of(path: str, names: Sequence[str]) -> bool:
    folder, slash, file = path.rpartition("/")
    return folder in names if slash else any(re.search(rf"(^|[._-]){name}[._-]", file) for name in names)


def expand(pattern: str) -> list[str]:
    """What braces in a path stand for, as in a shell.

    Raises:
        DataError: that is more than a million, or the braces are not of that kind.

    >>> expand("train-{08..11}.tar"), expand("{a,b}.tar")
    (['train-08.tar', 'train-09.tar', 'train-10.tar', 'train-11.tar'], ['a.tar', 'b.tar'])
    """
    braces = _BRACES.search(pattern)
    if braces is None:
        return [pattern]
    before, after = pattern[: braces.start()], expand(pattern[braces.end() :])
    within = _alternatives(braces[1], pattern)
    if len(within) * len(after) > _MOST:
        raise DataError(f"{pattern!r} stands for more than {_MOST} shards")
    return [before + middle + end for middle in within for end in after]


def _alternatives(text: str, pattern: str) -> list[str]:
    numbers = _RANGE.fullmatch(text)
    if numbers is None:
        if "," not in text:
            raise DataError(f"{pattern!r}: braces must hold a range or alternatives, such as {{0000..0145}} or {{a,b}}")
        return text.split(",")
    first, last = int(numbers[1]), int(numbers[2])
    if not first <= last < first + _MOST:
        raise DataError(f"{pattern!r}: the range {text} must go up, by less than {_MOST}")
    return [str(number).zfill(len(numbers[1])) for number in range(first, last + 1)]


def _read(root: str, path: str, split: Split) -> tuple[Shard, list[Sample], list[LeftOut]]:
    try:
        check_path(path)
    except ValueError as error:
        raise DataError(str(error)) from None
    place = f"{root.rstrip('/')}/{path}"

    def attempt() -> tuple[Shard, list[Sample], list[LeftOut]]:
        with _open(place) as file:
            stream = Hashed(file)
            samples, left = read_samples(stream, place)
            return Shard(split, path, stream.size, stream.finish()), samples, left

    return retried(attempt, place)


@contextmanager
def _open(place: str) -> Iterator[IO[bytes]]:
    if is_remote(place):
        check_url(place)
        with opened(place) as stream:
            yield stream
        return
    try:
        file = Path(place).open("rb")  # noqa: SIM115  # only what opening raises is told here
    except OSError as error:
        raise DataError(f"Cannot read {place}: {error.strerror or error}") from None
    with file:
        yield file


def _check_labels(samples: Sequence[Sample], class_names: Sequence[str] | None, path: str) -> None:
    for key, _, _, label in samples:
        if class_names is not None and label >= len(class_names):
            raise DataError(
                f"{path}: {key} is of class {label}, and there are {len(class_names)} classes, numbered from 0: see "
                "whether --classes names all of them"
            )
