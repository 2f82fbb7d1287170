"""The command line: it puts the library's pieces together and prints what they give. No logic of its own.

Torch and what stands on it are imported by the command that needs them, so that help and errors come at once.
"""

import os
import shlex
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from ddnn import __version__
from ddnn.commands import COMMANDS
from ddnn.commands.command_parser import CommandParser, with_underscores
from ddnn.errors import DDNNError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; gives the exit status: 0, 1 for what could not be done, 2 for what could not be understood,
    130 for Ctrl-C, 143 for a run that SIGTERM has ended."""
    warnings.showwarning = _show_warning
    try:
        words = list(sys.argv[1:] if arguments is None else arguments)
        options = _parser(words).parse_args([with_underscores(word) for word in words])
        options[options.subcommand]["command"] = shlex.join(["ddnn", *words])
        return COMMANDS[options.subcommand].run(options[options.subcommand]) or 0
    except DDNNError as error:
        print(f"ddnn: error: {error}", file=sys.stderr)
        return error.status
    except KeyboardInterrupt as error:
        print(f"ddnn: {str(error) or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # no space, no permission, a file where a folder should be
        where = f"{error.filename}: " if error.filename else ""
        print(f"ddnn: error: {where}{error.strerror or ' '.join(str(error).split())}", file=sys.stderr)
        return 1
    return 0


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    """A warning of ours in one line on standard error, without the place in the code; others' are for developers."""
    if category is UserWarning:
        print(f"ddnn: warning: {message}", file=sys.stderr)


def _parser(words: Sequence[str]) -> CommandParser:
    """The parser of all commands; only those that are among the words get their keys, which take long to add."""
    parser = CommandParser(
        prog="ddnn", description=f"One neural network, every depth (version {__version__}).", version=__version__
    )
    commands = parser.add_subcommands(required=True, metavar="COMMAND")
    for name, command in COMMANDS.items():
        subparser = CommandParser(prog=f"ddnn {name}", description=command.DESCRIPTION)
        commands.add_subcommand(name, subparser, help=command.DESCRIPTION)  # before those that it may have itself
        if name in words:
            command.add_options(subparser)
        subparser.add_argument("--json", action="store_true", help="print the result as JSON, and nothing else")
        parser.of_commands[name] = subparser
    return parser


if __name__ == "__main__":
    sys.exit(main())
