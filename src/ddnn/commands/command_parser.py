"""The command line's parser: jsonargparse, with errors that are one or two lines and recipes that go by name."""

import difflib
import re
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser  # pyright: ignore[reportPrivateImportUsage]

from ddnn.errors import DDNNError, near
from ddnn.formats.safe_yaml import UnusableYaml, read_yaml
from ddnn.recipes import recipe_file
from ddnn_runtime.schema import described, plain


class UsageError(DDNNError):
    """The command line cannot be understood."""

    status = 2


class CommandParser(ArgumentParser):
    """An `ArgumentParser` that raises `UsageError` where argparse prints its whole usage and exits.

    Attributes:
        of_commands: the parser of each command; empty in those.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, default_env=False, **kwargs)
        self.of_commands: dict[str, CommandParser] = {}

    def add_class_arguments(self, *args: Any, **kwargs: Any) -> list[str]:
        """As jsonargparse has it, but with limits left out of the types: our configurations check those, and help would
        show them as code."""
        added = super().add_class_arguments(*args, **kwargs)
        for action in self._actions:
            if (hint := getattr(action, "_typehint", None)) is not None:
                action._typehint = plain(hint)  # type: ignore[attr-defined]
        return added

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise with the message, its white space folded, and what comes near to an unknown word."""
        while ex is not None and not isinstance(ex, DDNNError):
            ex = ex.__cause__ or ex.__context__  # type: ignore[assignment]
        raise UsageError(str(ex) if ex is not None else self._explain(str(message)))

    def _check_value(self, action: Any, value: Any) -> None:
        """Argparse asks this of whatever has choices: here of commands alone."""
        if self.of_commands and value not in self.of_commands:
            raise UsageError(f"unknown command {value!r}; {near(str(value), self.of_commands)}")
        super()._check_value(action, value)

    def _explain(self, message: str) -> str:
        """The message of jsonargparse in our words. It tells keys and values by text alone: the errors that it passes
        on are a `TypeError` or an `ArgumentError` that hold nothing else, for unknown keys not even that."""
        text = " ".join(message.split())
        if option := re.search(r"unrecognized arguments: --([\w.]+)|does not accept option '([\w.]+)'", text):
            return self._unknown_option(option[1] or option[2])
        if value := re.search(r"Parser key \"([\w.]+)\": .*(?:Got value|Given value): (.*)", text):
            for action in self._all_actions():
                if action.dest == value[1] and (hint := getattr(action, "_typehint", None)) is not None:
                    return f"--{value[1]} must be {described(hint)}, not {value[2]}"
        text = re.sub(r"Parser key \"([\w.]+)\": ", r"--\1: ", text)
        text = re.sub(r"typing\.Literal\[([^]]*)\]", r"one of \1", text)
        return re.sub(r"<class '(\w+)'>", r"\1", text)

    def _unknown_option(self, word: str) -> str:
        known = [option for action in self._all_actions() for option in action.option_strings]
        options = [option for option in known if option != f"--{word}" and not option.endswith("+")]
        close = difflib.get_close_matches(f"--{word}", dict.fromkeys(options), n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        return f"unknown key --{word}{hint}; `ddnn COMMAND --help` lists the keys of a command"

    def _all_actions(self) -> list[Any]:
        own = list(self._actions) if not self.of_commands else []
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


def with_underscores(word: str) -> str:
    """`--latency-ms=20` as `--latency_ms=20`: keys may be written either way."""
    if not word.startswith("--"):
        return word
    key, equals, value = word[2:].partition("=")
    return f"--{key.replace('-', '_')}{equals}{value}"
