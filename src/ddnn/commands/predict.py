"""`ddnn predict`: what a net says of images in files."""

from dataclasses import asdict
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
    from ddnn.engines import open_engine
    from ddnn.errors import UnreadableImageError
    from ddnn_runtime.image_files import found_files, in_words

    engine = open_engine(options.run, config.device, max_pixels=config.max_pixels)
    name = config.subnet or engine.full
    files, left_out = found_files(options.images)
    if left_out:
        say(f"ddnn: left out: {in_words(left_out)}")
    found = predict(engine, files, name, config.top, config.batch_size)
    if found.read and options.json:
        read = [asdict(prediction) for prediction in found.read]
        print_json(
            {"subnet": name, "predictions": read, "unreadable": found.unreadable, "left_out": [*map(list, left_out)]}
        )
    elif found.read:
        rows = [
            (prediction.image if place == 0 else "", label, percent(probability))
            for prediction in found.read
            for place, (label, probability) in enumerate(zip(prediction.labels, prediction.probabilities, strict=True))
        ]
        print_table(f"{options.run}, {name}", ["image", "label", "probability, %"], rows)
    if found.unreadable:
        first, *others = found.unreadable
        raise UnreadableImageError(first + (f"; and {len(others)} more cannot be read either" if others else ""))
