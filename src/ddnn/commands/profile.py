"""`ddnn profile`: what every net costs on this machine."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import ProfileConfig, from_fields
from ddnn.reporting.tables import print_json

DESCRIPTION = "parameters, MACs, latency and memory of every sub-net on this machine"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory, a saved network, or an export")
    parser.add_class_arguments(ProfileConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(ProfileConfig, options.as_dict())
    from ddnn.profiles import profile
    from ddnn.profiles.report import folder_for, show

    found = profile(options.run, config)
    folder = folder_for(options.run, found.device_name, config.output)
    if options.json:
        return print_json({"folder": str(folder), **found.to_json()})
    show(found)
    print(f"written to {folder}; read it anywhere: ddnn choose RUN --on {folder}")
