"""The page of every command's keys, written from the parsers themselves when the site is built."""

from pathlib import Path
from typing import Any

from ddnn.commands import COMMANDS
from ddnn.commands.command_parser import CommandParser

HEADING = """# Commands

Every key can stand on the command line (`--key value`, or `--key=value`), or in a YAML file that `--config` names; of
`train` and `compare`, a recipe's name will do. `--json` prints the result as JSON, and nothing else.
"""


def page() -> str:
    """What `ddnn COMMAND --help` says, command by command, in Markdown."""
    return HEADING + "".join(map(section, COMMANDS))


def section(name: str) -> str:
    """One command."""
    command = COMMANDS[name]
    parser = CommandParser(prog=f"ddnn {name}", description=command.DESCRIPTION)
    command.add_options(parser)
    does = command.DESCRIPTION[:1].upper() + command.DESCRIPTION[1:]
    return f"\n## ddnn {name}\n\n{does}.\n\n```text\n{parser.format_help()}```\n"


def write(app: Any) -> None:
    """Write it where the site's sources are; the file is not kept."""
    path, text = Path(app.srcdir) / "reference" / "commands.md", page()
    if not path.is_file() or path.read_text() != text:  # else Sphinx would read it again
        path.write_text(text)


def setup(app: Any) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
