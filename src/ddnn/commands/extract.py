"""`ddnn extract`: one net as a file that its stock class loads."""

from pathlib import Path
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
    from ddnn.deployment.extraction import extract_to_file
    from ddnn.network.loading import load

    network = load(options.run)
    name = config.subnet or network.full
    path = Path(config.output or f"{name}.safetensors")
    extract_to_file(network, name, path)
    result = {"subnet": name, "output": str(path), "bytes": path.stat().st_size}
    if options.json:
        return print_json(result)
    print(f"{path}: state dict of {name}, {path.stat().st_size / 1e6:.1f} MB")
