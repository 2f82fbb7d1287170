"""What the command lines of ddnn and of its runtime share: jsonargparse, with errors that are one or two lines.

It needs jsonargparse, which the runtime's extra `serve` brings.
"""

import difflib
import re
from typing import Any, NoReturn

from jsonargparse import ArgumentParser  # pyright: ignore[reportPrivateImportUsage]

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.schema import described, plain


class UsageError(DDNNError):
    """The command line cannot be understood."""

    status = 2


class Parser(ArgumentParser):
    """An `ArgumentParser` that raises `UsageError` where argparse prints its whole usage and exits."""

    help_hint = "--help lists the keys"
    """The end of the message about an unknown key."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, allow_abbrev=False, default_env=False, **kwargs)

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
        return f"unknown key --{word}{hint}; {self.help_hint}"

    def _all_actions(self) -> list[Any]:
        return list(self._actions)


def with_underscores(word: str) -> str:
    """`--latency-ms=20` as `--latency_ms=20`: keys may be written either way."""
    if not word.startswith("--"):
        return word
    key, equals, value = word[2:].partition("=")
    return f"--{key.replace('-', '_')}{equals}{value}"
