"""`ddnn evaluate`: the accuracy of every net of a saved network."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.commands.scores import show_classes, show_scores
from ddnn.config import EvaluateConfig, from_fields

DESCRIPTION = "accuracy of every sub-net on a data set"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(EvaluateConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(EvaluateConfig, options.as_dict())
    from ddnn.measuring.evaluate import evaluate

    found = evaluate(options.run, config)
    show_scores(options, f"{options.run}: {found.portion}", found.to_json())
    show_classes(options, found.to_json())
