"""Results as a table, as JSON, and in a file that can be committed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ddnn.measuring.devices import processor
from ddnn.reporting.tables import print_table, to_json

Row = Mapping[str, Any]


class Report:
    """The tables of one run.

    Args:
        question: what the run answers.
        output: a JSON file for all tables; it is written again with each, so a run that is cut short leaves some.
    """

    def __init__(self, question: str, output: str | None = None) -> None:
        self._output = None if output is None else Path(output)
        self._result: dict[str, Any] = {"question": question, "machine": machine(), "tables": []}
        if self._output is not None:
            self._output.parent.mkdir(parents=True, exist_ok=True)

    def table(self, title: str, rows: Sequence[Row]) -> None:
        """Print rows with the same keys, first as a table, then as JSON."""
        columns = list(rows[0])
        print_table(title, columns, [[_shown(row[column]) for column in columns] for row in rows])
        table = {"title": title, "rows": [{name: _rounded(cell) for name, cell in row.items()} for row in rows]}
        print(to_json(table), flush=True)
        self._result["tables"].append(table)
        if self._output is not None:
            self._output.write_text(to_json(self._result) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What the figures depend on besides the settings."""
    facts = {"processor": processor(), "threads": torch.get_num_threads(), "torch": torch.__version__}
    if torch.cuda.is_available():
        facts["gpu"] = torch.cuda.get_device_name()
    return facts


def _rounded(cell: Any) -> Any:
    return float(f"{cell:.5g}") if isinstance(cell, float) else cell


def _shown(cell: Any) -> str:
    if isinstance(cell, float):
        return f"{cell:.3f}" if abs(cell) < 100 else f"{cell:.0f}"
    return str(cell)
