"""`ddnn train`: a run directory, and the accuracy of every net on the test images."""

from typing import Any

from ddnn.command_parser import CommandParser, RecipeFile
from ddnn.commands.scores import as_json, show_scores
from ddnn.config import TrainConfig, from_fields
from ddnn.reports import to_json

DESCRIPTION = "train a network at all its depths"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("--config", action=RecipeFile, help="YAML file, or the name of a shipped recipe")
    parser.add_class_arguments(TrainConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(TrainConfig, options.as_dict())
    from ddnn.devices import pick_device
    from ddnn.evaluation import evaluate
    from ddnn.storage import write_text
    from ddnn.training import train

    run = train(config)
    device = pick_device(run.config.device)
    scores = evaluate(run.network.to(device), run.data.test(device))
    result = {"run": str(run.directory.path), "seconds": round(run.seconds, 1), "nets": as_json(run.network, scores)}
    write_text(run.directory.results, to_json(result) + "\n")
    title = f"{run.directory.path}: {run.config.data} test images, {run.seconds:.1f} s of training"
    show_scores(options, title, result)
