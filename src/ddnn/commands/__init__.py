"""What the command line can do: one command a file, each with its keys and what it prints. No logic of its own.

Torch and what stands on it are imported by the command that needs them, when it runs.
"""

from typing import Any, Protocol

from ddnn.commands import (
    cascade,
    choose,
    compare,
    evaluate,
    export,
    extract,
    families,
    predict,
    profile,
    quantize,
    serve,
    shards,
    train,
)
from ddnn.commands.command_parser import CommandParser


class Command(Protocol):
    """What a module of this package has."""

    @property
    def DESCRIPTION(self) -> str:  # noqa: N802  # a constant of the module
        """What it does, in a line."""
        ...

    def add_options(self, parser: CommandParser) -> None:
        """Add the keys of the command to its parser."""
        ...

    def run(self, options: Any) -> int | None:
        """Do what the parsed options ask for, and print the result; gives the exit status, if it is not 0."""
        ...


COMMANDS: dict[str, Command] = {
    "families": families,
    "train": train,
    "compare": compare,
    "evaluate": evaluate,
    "profile": profile,
    "choose": choose,
    "export": export,
    "quantize": quantize,
    "cascade": cascade,
    "extract": extract,
    "predict": predict,
    "serve": serve,
    "shards": shards,
}
