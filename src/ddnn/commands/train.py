"""`ddnn train`: a run directory, and the accuracy of every net on the test images."""

import shlex
from typing import Any

from ddnn.commands.command_parser import CommandParser, RecipeFile, with_underscores
from ddnn.commands.scores import show_scores
from ddnn.config import TrainConfig, from_fields

DESCRIPTION = "train a network at all its depths"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("--config", action=RecipeFile, help="YAML file, or the name of a shipped recipe")
    parser.add_class_arguments(TrainConfig)


def run(options: Any) -> int:
    """Do it, and print the result."""
    words = shlex.split(options.command)[1:]
    config = from_fields(TrainConfig, options.as_dict())
    if config.resume is not None:
        config = config.with_given(_given(words[1:]))
    from ddnn.training.launching import launch, processes_to_start

    if (count := processes_to_start(config)) > 1:
        return launch(words, count)
    from ddnn.training import train

    run = train(config)
    if run.processes.first:
        learnt = " and ".join(portion.in_short() for portion in run.learnt_from.values())
        title = f"{run.directory.path}: {run.tested_on}\n{run.seconds:.1f} s of training, on {learnt}"
        show_scores(options, title, run.to_json())
    return 0


def _given(words: list[str]) -> list[str]:
    """The keys that stand on the command line, or in the file that it names: without the defaults of the others."""
    parser = CommandParser()
    add_options(parser)
    parser.add_argument("--json", action="store_true")
    return list(parser.parse_args([with_underscores(word) for word in words], defaults=False).as_dict())
