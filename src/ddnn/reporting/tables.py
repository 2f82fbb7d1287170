"""Results as people and programs read them: tables on a terminal, JSON where it is asked for."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ddnn.errors import DDNNError


def print_json(result: Mapping[str, Any]) -> None:
    """The result as JSON on standard output."""
    print(to_json(result))


def to_json(result: Mapping[str, Any]) -> str:
    """The result as JSON, which knows no infinity.

    Raises:
        DDNNError: if a number is not finite.
    """
    try:
        return json.dumps(result, indent=2, allow_nan=False)
    except ValueError:
        raise DDNNError("a result is not finite: the network's outputs overflow; train it again") from None


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A table on standard output; numbers stand right, the first column left."""
    from rich import box  # here, because help and errors need no table
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text  # what the user has named must not be read as markup

    table = Table(box=box.SIMPLE_HEAD)
    for number, column in enumerate(columns):
        table.add_column(Text(column), justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console = Console(width=None if sys.stdout.isatty() else 200)  # a file or a pipe has no edge to cut at
    console.print(Text(title))
    console.print(table)


def percent(share: float) -> str:
    """0.9321 as 93.21."""
    return f"{100 * share:.2f}"


def millions(count: int) -> str:
    """11689512 as 11.69."""
    return f"{count / 1e6:.2f}"
