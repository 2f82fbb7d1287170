"""`ddnn evaluate`: the accuracy of every net of a saved network."""

from pathlib import Path
from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.commands.scores import as_json, show_scores
from ddnn.config import DataConfig, EvaluateConfig, from_fields

DESCRIPTION = "accuracy of every sub-net on a data set"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(EvaluateConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(EvaluateConfig, options.as_dict())
    from ddnn.measuring.devices import pick_device
    from ddnn.measuring.evaluation import evaluate, open_evaluation_data
    from ddnn.network.loading import load
    from ddnn.runs.run_directory import evaluation_data

    device = pick_device(config.device)
    network = load(options.run)
    data_config: DataConfig = evaluation_data(Path(options.run), config)
    data = open_evaluation_data(network, data_config)
    scores = evaluate(network.to(device), data.test(device))
    result = {"run": options.run, "data": data_config.data, "nets": as_json(network, scores)}
    show_scores(options, f"{options.run}: {data_config.data} test images", result)
