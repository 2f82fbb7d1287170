"""`python -m ddnn.data.shards`: write shards from a folder of images, or index those that there are."""

import argparse
import sys
from collections.abc import Sequence
from math import inf
from pathlib import Path
from typing import NoReturn

from ddnn.data.shards.index import FILE, ShardIndex, write_index
from ddnn.data.shards.indexing import expand, find_shards, index_shards
from ddnn.data.shards.remote import is_remote
from ddnn.data.shards.writing import CLASSES, write_shards
from ddnn.data.splits import require_folder
from ddnn.errors import DataError, DDNNError

_PROG = "python -m ddnn.data.shards"


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{_PROG}: error: {message}; --help lists the options\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit status: 0, 1 for what could not be done, 2 for what could not be understood, 130
    for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        index, place = _write(options) if options.command == "write" else _index(options)
    except DDNNError as error:
        return _failed(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or error}; nothing was written")
    except KeyboardInterrupt:
        print(f"{_PROG}: interrupted; nothing was written", file=sys.stderr)
        return 130
    images, shards = len(index.samples), len(index.shards)
    gib = sum(shard.size for shard in index.shards) / 2**30
    print(f"{place}: {images} images of {len(index.class_names)} classes in {shards} shards, {gib:.3g} GiB")
    return 0


def _failed(message: str) -> int:
    print(f"{_PROG}: error: {message}", file=sys.stderr)
    return 1


def _write(options: argparse.Namespace) -> tuple[ShardIndex, Path]:
    if not 0 < options.shard_size_mib < inf:
        raise DataError(f"--shard-size-mib must be over 0, not {options.shard_size_mib}")
    return write_shards(options.folder.expanduser(), options.out.expanduser(), options.shard_size_mib), options.out


def _index(options: argparse.Namespace) -> tuple[ShardIndex, Path]:
    root = options.root if is_remote(options.root) else str(Path(options.root).expanduser())
    place = _place(root, options)
    given = {"train": options.train, "validation": options.val, "test": options.test}
    splits = {split: [path for pattern in patterns for path in expand(pattern)] for split, patterns in given.items()}
    if not any(splits.values()):
        if is_remote(root):
            raise DataError(f"which shards {root} has is to be said: --train 'train-{{0000..0145}}.tar', --val, --test")
        splits = find_shards(Path(root))
    index = index_shards(root, splits, _class_names(root, options.classes))
    write_index(index, place)
    return index, place


def _place(root: str, options: argparse.Namespace) -> Path:
    """Where the index goes."""
    if not is_remote(root):
        require_folder(Path(root), "give the folder that has the shards")
    if options.output is None and is_remote(root):
        raise DataError(f"an index cannot be written to {root}: give --output FILE, and then copy it there")
    place = Path(root) / FILE if options.output is None else options.output.expanduser()
    if place.exists() and not options.replace:
        raise DataError(f"{place} exists already; give --replace to write it anew, or another --output")
    return place


def _class_names(root: str, given: Path | None) -> list[str] | None:
    path = Path(root) / CLASSES if given is None else given
    if given is None and not path.is_file():
        return None
    try:
        names = [name.strip() for name in path.expanduser().read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"Cannot read the names of the classes in {path}: {error}") from None
    if not names or not all(names) or len(set(names)) < len(names):
        raise DataError(f"{path} must have one name a line, in the order of the classes, none empty and none twice")
    return names


def _parser() -> _Parser:
    parser = _Parser(prog=_PROG, description="Shards for `ddnn train --data shards:PATH`.", allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    write = commands.add_parser("write", help="write shards and their index from a folder of images")
    write.add_argument("folder", type=Path, help="train/CLASS/* and val/CLASS/*, as `--data folder:PATH` takes it")
    write.add_argument("out", type=Path, help="the folder to make")
    write.add_argument("--shard-size-mib", type=float, default=256, metavar="MIB", help="of a shard (default: 256)")
    index = commands.add_parser("index", help="index WebDataset's tars that there are")
    index.add_argument("root", help="the folder or URL that has the shards")
    for split in ("train", "val", "test"):
        shown = f"shards below it, as in '{split}-{{00..31}}.tar'"
        index.add_argument(f"--{split}", nargs="+", default=[], metavar="TAR", help=shown)
    named = f"names of the classes, one a line, in their order (default: {CLASSES} beside the shards, or numbers)"
    index.add_argument("--classes", type=Path, metavar="FILE", help=named)
    index.add_argument("--output", type=Path, metavar="FILE", help=f"the index (default: {FILE} beside the shards)")
    index.add_argument("--replace", action="store_true", help="write anew over an index that is there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
