"""What a run has measured, as files: one row an epoch in metrics.csv, and the scores of all nets in results.json.

People edit both, so what cannot be read is refused with a message that names the file.
"""

import csv
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ddnn.errors import ModelFileError
from ddnn.network.storage import write_text
from ddnn.reporting.tables import to_json
from ddnn_runtime.sealed_json import parse_json


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Add a row to the metrics; rows of the same or a later epoch, left by a run that was cut short, go."""
    rows = [old for old in read_rows(path) if int(old["epoch"]) < row["epoch"]]
    lines = [*rows, row]
    columns = list(dict.fromkeys(key for line in lines for key in line))
    text = StringIO(newline="")
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    writer.writerows(lines)
    write_text(path, text.getvalue())


def read_rows(path: Path) -> list[dict[str, Any]]:
    """All metrics so far.

    Raises:
        ModelFileError: if the file is damaged.
    """
    if not path.is_file():
        return []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            int(row["epoch"])
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise ModelFileError(f"{path} is damaged ({error!r}); move it away, and the run goes on") from None
    return rows


def write_results(path: Path, document: Mapping[str, Any]) -> None:
    """Write the scores of all nets, `nets` in the document; see `ddnn.train`."""
    write_text(path, to_json(document) + "\n")


def read_accuracies(path: Path) -> dict[str, float]:
    """Accuracy of each net on the test images, in [0, 1]; empty where there are no results.

    Raises:
        ModelFileError: if they are damaged.
    """
    if not path.is_file():
        return {}
    try:
        nets = parse_json(path.read_text(encoding="utf-8"))["nets"]
        accuracies = {name: float(net["accuracy"]) for name, net in nets.items()}
        if not all(0 <= accuracy <= 1 for accuracy in accuracies.values()):
            raise ValueError("an accuracy is not in [0, 1]")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelFileError(f"{path} is damaged ({error!r}); score the nets again, or move it away") from None
    return accuracies
