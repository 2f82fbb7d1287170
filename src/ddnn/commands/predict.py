"""`ddnn predict`: what a net says of images in files."""

from dataclasses import asdict
from typing import Any

from ddnn.command_parser import CommandParser
from ddnn.config import PredictConfig, from_fields
from ddnn.reports import percent, print_json, print_table

DESCRIPTION = "labels and probabilities of images, by any sub-net"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")
    parser.add_class_arguments(PredictConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(PredictConfig, options.as_dict())
    from ddnn.building import load
    from ddnn.deployment.prediction import predict
    from ddnn.devices import pick_device

    network = load(options.run).to(pick_device(config.device))
    predictions = predict(network, options.images, config.subnet, config.top)
    if options.json:
        return print_json({"subnet": config.subnet or network.full, "predictions": [asdict(p) for p in predictions]})
    rows = [
        (prediction.image if place == 0 else "", label, percent(probability))
        for prediction in predictions
        for place, (label, probability) in enumerate(zip(prediction.labels, prediction.probabilities, strict=True))
    ]
    print_table(f"{options.run}, {config.subnet or network.full}", ["image", "label", "probability, %"], rows)
