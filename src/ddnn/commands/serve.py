"""`ddnn serve`: an export behind a port."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import ServeConfig, from_fields

DESCRIPTION = "answer over HTTP; under load by a shallower net, not later"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("export", help="what `ddnn export` wrote")
    parser.add_class_arguments(ServeConfig)


def run(options: Any) -> int:
    """Do it until a signal comes; the first line names the address."""
    config = from_fields(ServeConfig, options.as_dict())
    from ddnn.serving import serve

    return serve(options.export, config, as_json=options.json)
