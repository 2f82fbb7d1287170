"""`ddnn compare`: the same nets by several methods, and how they differ."""

from typing import Any

from ddnn.commands.command_parser import CommandParser, RecipeFile
from ddnn.config import OWN_KEYS, CompareConfig, TrainConfig, from_fields
from ddnn.reporting.tables import print_json

DESCRIPTION = "trained alone, pruned, jointly, by EKD and as peers do, over seeds"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("--config", action=RecipeFile, help="YAML file, or the name of a shipped recipe")
    parser.add_class_arguments(CompareConfig, skip={"train"})
    parser.add_class_arguments(TrainConfig, skip=set(OWN_KEYS))


def run(options: Any) -> None:
    """Do it, and print the result."""
    values = options.as_dict()
    train = from_fields(TrainConfig, {key: value for key, value in values.items() if key not in OWN_KEYS})
    config = from_fields(CompareConfig, {**values, "train": train})
    from ddnn.comparison import compare, show

    summary = compare(config, command=options.command)
    if options.json:
        return print_json(summary)
    show(summary)
