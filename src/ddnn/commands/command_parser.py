"""The parser of ddnn's command line, which has commands, and recipes that go by name."""

from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile  # pyright: ignore[reportPrivateImportUsage]

from ddnn.errors import near
from ddnn.formats.safe_yaml import UnusableYaml, read_yaml
from ddnn.recipes import recipe_file
from ddnn_runtime.command_line import Parser, UsageError, with_underscores

__all__ = ["CommandParser", "RecipeFile", "UsageError", "with_underscores"]


class CommandParser(Parser):
    """A parser that may have commands.

    Attributes:
        of_commands: the parser of each command; empty in those.
    """

    help_hint = "`ddnn COMMAND --help` lists the keys of a command"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.of_commands: dict[str, CommandParser] = {}

    def _check_value(self, action: Any, value: Any) -> None:
        """Argparse asks this of whatever has choices: here of commands alone."""
        if self.of_commands and value not in self.of_commands:
            raise UsageError(f"unknown command {value!r}; {near(str(value), self.of_commands)}")
        super()._check_value(action, value)

    def _all_actions(self) -> list[Any]:
        own = super()._all_actions() if not self.of_commands else []
        return own + [action for parser in self.of_commands.values() for action in parser._all_actions()]


class RecipeFile(ActionConfigFile):
    """`--config`: a YAML file, or the name of a shipped recipe."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Apply the file of that path or name."""
        super().__call__(parser, cfg, str(_checked(recipe_file(str(values)))), option_string)


def _checked(path: Path) -> Path:
    try:
        document = read_yaml(path)
    except UnusableYaml as error:
        raise UsageError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{path} must hold a mapping from keys to values, such as `epochs: 10`")
    return path
