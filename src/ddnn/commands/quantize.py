"""`ddnn quantize`: an export in int8, with the blocks in float that an accuracy or a latency asks for."""

from pathlib import Path
from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import QuantizeConfig, from_fields
from ddnn.reporting.progress import say
from ddnn.reporting.tables import print_json

DESCRIPTION = "an export in int8, with what each block and each sub-net loses"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(QuantizeConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(QuantizeConfig, options.as_dict())
    from ddnn.deployment.graphs import require_onnx
    from ddnn.formats.staging import check_new
    from ddnn.network.loading import load

    require_onnx()
    run, directory = Path(options.run), Path(config.output or Path(options.run, "export-int8"))
    check_new(directory)
    network = load(run)
    from ddnn.deployment.quantization import open_images, quantize, show

    result = quantize(
        network,
        directory,
        open_images(network, run, config),
        config,
        progress=say,
    )
    if options.json:
        return print_json(result.to_json())
    show(result)
