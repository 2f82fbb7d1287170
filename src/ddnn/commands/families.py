"""`ddnn families`: from a catalogue that ships as a file, so that it answers without torch."""

from typing import Any

from ddnn.commands.catalogue import catalogue
from ddnn.commands.command_parser import CommandParser
from ddnn.config import FamiliesConfig, from_fields
from ddnn.reporting.tables import millions, print_json, print_table

DESCRIPTION = "what nests in what, with parameters and MACs"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_class_arguments(FamiliesConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(FamiliesConfig, options.as_dict())
    result = catalogue(config.image_size, config.num_classes)
    if options.json:
        return print_json(result)
    rows = [
        (
            member,
            " ".join(map(str, facts["depth"])),
            millions(facts["parameters"]),
            millions(facts["macs"]),
            "x".join(map(str, family["input"])),
            " ".join(facts["inside"]) or "-",
        )
        for family in result.values()
        for member, facts in family["members"].items()
    ]
    columns = ["model", "blocks per stage", "params, M", "MACs, M", "input", "shares its weights with, as a sub-net"]
    print_table("What nests in what; any depth in between has no name, and nests as well", columns, rows)
