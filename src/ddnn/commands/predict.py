"""`ddnn predict`: what a net says of images in files."""

from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import PredictConfig, from_fields
from ddnn.reporting.progress import say
from ddnn.reporting.tables import percent, print_json, print_table

DESCRIPTION = "labels and probabilities of images, by any sub-net"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory, a saved network, or an export")
    parser.add_argument(
        "images", nargs="+", metavar="IMAGE", help="image files, folders of them, or .txt files with a path a line"
    )
    parser.add_class_arguments(PredictConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(PredictConfig, options.as_dict())
    from ddnn.deployment.prediction import predict

    found = predict(options.run, options.images, config)
    if found.left_out:
        from ddnn_runtime.image_files import in_words

        say(f"ddnn: left out: {in_words(found.left_out)}")
    if options.json:
        print_json(found.to_json())
    else:
        rows = [
            (prediction.image if place == 0 else "", label, percent(probability))
            for prediction in found.read
            for place, (label, probability) in enumerate(zip(prediction.labels, prediction.probabilities, strict=True))
        ]
        print_table(f"{options.run}, {found.subnet}", ["image", "label", "probability, %"], rows)
    found.require_all()
