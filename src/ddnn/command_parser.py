"""The command line's parser: jsonargparse, with errors that are one or two lines and recipes that go by name."""

import difflib
import re
from pathlib import Path
from typing import Any, NoReturn

from jsonargparse import ActionConfigFile, ArgumentParser  # pyright: ignore[reportPrivateImportUsage]

from ddnn.errors import DDNNError
from ddnn.recipes import recipe_file


class UsageError(DDNNError):
    """The command line cannot be understood."""


class CommandParser(ArgumentParser):
    """An `ArgumentParser` that raises `UsageError` where argparse prints its whole usage and exits."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, default_env=False, **kwargs)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise with the message, its white space folded, near matches of an unknown key added."""
        while ex is not None and not isinstance(ex, DDNNError):
            ex = ex.__cause__ or ex.__context__  # type: ignore[assignment]
        raise UsageError(str(ex) if ex is not None else self._explain(str(message)))

    def _explain(self, message: str) -> str:
        text = " ".join(message.split())
        text = re.sub(r"Parser key \"([\w.]+)\": ", r"--\1: ", text)
        text = re.sub(r"typing\.Literal\[([^]]*)\]", r"one of \1", text)
        text = re.sub(r"<class '(\w+)'>", r"\1", text)
        known = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
        for word in re.findall(r"(?:--|[Kk]ey '|unrecognized arguments: )([\w.]+)", text):
            if f"--{word}" not in known:
                close = difflib.get_close_matches(word, [option[2:] for option in known], n=3)
                hint = f"did you mean {' or '.join(f'--{option}' for option in close)}? " if close else ""
                return f"{text}; {hint}`{self.prog} --help` lists the keys"
        return text


class RecipeFile(ActionConfigFile):
    """`--config`: a YAML file, or the name of a shipped recipe."""

    def __call__(self, parser: Any, cfg: Any, values: Any, option_string: str | None = None) -> None:
        """Apply the file of that path or name."""
        super().__call__(parser, cfg, str(_checked(recipe_file(str(values)))), option_string)


def _checked(path: Path) -> Path:
    try:
        path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DDNNError(f"{path} cannot be read as YAML: {error}") from None
    return path
