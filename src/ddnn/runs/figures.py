"""What a run has measured, as files: one row an epoch in metrics.csv, and the scores of all nets in results.json.

People edit both, so what cannot be read is refused with a message that names the file.
"""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from ddnn.config.limits import FiniteWeight
from ddnn.errors import ModelFileError
from ddnn.formats.staging import write_text
from ddnn.reporting.tables import to_json
from ddnn_runtime.documents import Fraction, read_document


@dataclass(frozen=True)
class _NetResult:
    """What is read of a net's scores."""

    accuracy: Fraction
    images: int | None = None


@dataclass(frozen=True)
class _Results:
    """What is read of results.json."""

    nets: dict[str, _NetResult]
    called: str | None = None
    left_out: int | None = None
    seconds: FiniteWeight = 0.0


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


def read_seconds(path: Path) -> float:
    """How long the training took; 0 where there are no results, or they do not say.

    Raises:
        ModelFileError: if they are damaged.
    """
    return 0.0 if (found := _read_results(path)) is None else found.seconds


def read_accuracies(path: Path) -> dict[str, float]:
    """Accuracy of each net on the test images, in [0, 1]; empty where there are no results.

    Raises:
        ModelFileError: if they are damaged.
    """
    found = _read_results(path)
    return {} if found is None else {name: net.accuracy for name, net in found.nets.items()}


def read_tested_on(path: Path, images: str) -> str:
    """`images`, test images in words, with how many they were and how many were left out, where the results say so.

    Raises:
        ModelFileError: if they are damaged.
    """
    found = _read_results(path)
    counts = [] if found is None else [net.images for net in found.nets.values() if net.images is not None]
    if found is None or not counts:
        return images
    called = f" ({found.called})" if found.called else ""
    left_out = f", {found.left_out} left out" if found.left_out else ""
    return f"{counts[-1]} {images}{called}{left_out}"


def _read_results(path: Path) -> _Results | None:
    if not path.is_file():
        return None
    return read_document(path, _Results, fix="score the nets again, or move it away", closed=False)
