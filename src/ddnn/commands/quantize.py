"""`ddnn quantize`: an export in int8, with the blocks in float that an accuracy or a latency asks for."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import QuantizeConfig, from_fields
from ddnn.reporting.tables import print_json

DESCRIPTION = "an export in int8, with what each block and each sub-net loses"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(QuantizeConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(QuantizeConfig, options.as_dict())
    from ddnn.deployment.from_run import quantize

    result = quantize(options.run, config=config)
    if options.json:
        return print_json(result.to_json())
    from ddnn.deployment.quantization import show

    show(result)
