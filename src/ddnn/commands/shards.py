"""`ddnn shards`: write shards from a folder of images, or index those that there are."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.reporting.tables import print_json

DESCRIPTION = "write shards from a folder of images, or index those that there are"
_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_SHOWN = 10  # of the files that are left out


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    commands = parser.add_subcommands(required=True, metavar="write|index")
    for name, add, description in (
        ("write", _add_write, "write shards and their index from a folder of images"),
        ("index", _add_index, "index WebDataset's tars that there are"),
    ):
        subparser = CommandParser(prog=f"ddnn shards {name}", description=description)
        commands.add_subcommand(name, subparser, help=description)
        add(subparser)
        subparser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
        parser.of_commands[name] = subparser


def _add_write(parser: CommandParser) -> None:
    parser.add_argument("folder", help="train/CLASS/* and val/CLASS/*, as `--data folder:PATH` takes it")
    parser.add_argument("out", help="the folder to make")
    parser.add_argument("--shard_size_mib", type=float, default=256.0, metavar="MIB", help="of a shard")


def _add_index(parser: CommandParser) -> None:
    parser.add_argument("root", help="the folder or URL that has the shards")
    for split in _SPLITS:
        shown = f"shards below it, as in '{split}-{{00..31}}.tar'"
        parser.add_argument(f"--{split}", nargs="+", default=[], metavar="TAR", help=shown)
    named = "names of the classes, one a line, in their order; by default classes.txt beside the shards, or numbers"
    parser.add_argument("--classes", metavar="FILE", help=named)
    parser.add_argument("--output", metavar="FILE", help="the index; by default index.parquet beside the shards")
    parser.add_argument("--replace", action="store_true", help="write anew over an index that is there")


def run(options: Any) -> None:
    """Do it, and print the result."""
    from ddnn.data.shards.making import make_index, make_shards

    asked = options[options.subcommand]
    if options.subcommand == "write":
        made = make_shards(asked.folder, asked.out, asked.shard_size_mib)
    else:
        patterns = {split: asked[key] for key, split in _SPLITS.items()}
        made = make_index(asked.root, patterns, asked.classes, asked.output, replace=asked.replace)
    result = made.to_json()
    if asked.json or options.json:
        return print_json(result)
    counts = f"{result['images']} images of {result['classes']} classes in {result['shards']} shards"
    print(f"{made.place}: {counts}, {result['bytes'] / 2**30:.3g} GiB")
    if left := result["left_out"]:
        more = f", and {len(left) - _SHOWN} more (--json names all)" if len(left) > _SHOWN else ""
        print(f"{len(left)} files are left out: {', '.join(left[:_SHOWN])}{more}")
