"""`ddnn extract`: one net as a file that its stock class loads."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import ExtractConfig, from_fields
from ddnn.reporting.tables import print_json

DESCRIPTION = "a sub-net as a stock state dict in a safetensors file"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(ExtractConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(ExtractConfig, options.as_dict())
    from ddnn.deployment.extraction import extract

    extracted = extract(options.run, config=config)
    if options.json:
        return print_json(extracted.to_json())
    print(f"{extracted.output}: state dict of {extracted.subnet}, {extracted.bytes / 1e6:.1f} MB")
