"""`ddnn choose`: the best net within bounds."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import ChooseConfig, from_fields
from ddnn.reporting.tables import print_json

DESCRIPTION = "the best sub-net within a time, a memory or an accuracy"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory, a saved network, or an export")
    parser.add_class_arguments(ChooseConfig, skip={"any_depth"})
    parser.add_argument(
        "--any_depth",
        type=bool,
        nargs="?",
        const=True,
        default=False,
        help="search the depths that were not trained too; each is calibrated, and scored on images that were held out "
        "of the training, or on test images where none were",
    )


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(ChooseConfig, options.as_dict())
    from ddnn.choice import choose
    from ddnn.choice.report import as_json, show

    decision = choose(options.run, config)
    if options.json:
        return print_json(as_json(decision, config.output))
    show(decision, config.output)
