"""When requests come: Poisson, in bursts, or as they were recorded. Seeded, so a trace is the same each time."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import inf
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from ddnn_runtime.documents import Count, Fraction, Positive, Text
from ddnn_runtime.errors import DDNNError
from ddnn_runtime.schema import LARGEST, typed
from ddnn_runtime.sealed_json import parse_json
from ddnn_runtime.serving.request import Request


def poisson(rate: float, count: int, seed: int = 0) -> list[float]:
    """Times of requests that know nothing of each other.

    Args:
        rate: requests a second, on average.
        count: how many.
        seed: other seeds give other traces.
    """
    _check_rate(rate, count)
    return _times(np.random.default_rng(seed).exponential(1 / rate, count))


def bursts(
    rate: float, count: int, seed: int = 0, *, factor: float = 4.0, share: float = 0.2, seconds: float = 1.0
) -> list[float]:
    """Times from a Markov-modulated Poisson process: calm and bursts take turns, each for a random time.

    Args:
        rate: requests a second, on average over both.
        count: how many.
        seed: other seeds give other traces.
        factor: how many times as many requests come in a burst as in calm.
        share: of the time that is in bursts.
        seconds: that a burst lasts, on average.
    """
    _check_rate(rate, count)
    if not (factor >= 1 and 0 < share < 1 and seconds > 0):
        raise DDNNError("bursts need a factor of at least 1, a share of the time in (0, 1), and seconds above 0")
    drawn = np.random.default_rng(seed)
    calm = rate / (1 - share + share * factor)
    times: list[np.ndarray] = []
    now, found, bursting = 0.0, 0, False
    while found < count:
        length = drawn.exponential(seconds if bursting else seconds * (1 - share) / share)
        number = drawn.poisson(length * (calm * factor if bursting else calm))
        times.append(now + np.sort(drawn.uniform(0, length, number)))
        now, found, bursting = now + length, found + number, not bursting
    return np.concatenate(times)[:count].tolist()


def requests(times: Sequence[float], deadline_ms: float | None = None, wish: Request | None = None) -> list[Request]:
    """A trace of requests that all ask for the same.

    Args:
        times: when they come, in seconds.
        deadline_ms: after they came; None means no hurry.
        wish: what they ask for; number, arrival and deadline are set here.
    """
    wish = wish or Request(0, 0.0)
    slack = inf if deadline_ms is None else deadline_ms / 1e3
    return [replace(wish, number=n, arrived=time, deadline=time + slack) for n, time in enumerate(times)]


@dataclass(frozen=True)
class _Recorded:
    """One line of a recorded trace."""

    at_s: Annotated[float, Meta(ge=0, le=LARGEST)]
    deadline_ms: Positive | None = None
    subnet: Text | None = None
    least_accuracy: Fraction = 0.0
    images: Count = 1
    cascade: bool = False

    def request(self, number: int) -> Request:
        deadline = inf if self.deadline_ms is None else self.at_s + self.deadline_ms / 1e3
        return Request(number, self.at_s, deadline, self.images, self.subnet, self.least_accuracy, self.cascade)


def recorded(path: str | Path) -> list[Request]:
    """A trace from a file: JSON lines, or CSV with a header, one request a line.

    `at_s` says when it came, in seconds; `deadline_ms` (after that), `subnet`, `least_accuracy`, `images` and `cascade`
    may be left out.

    Raises:
        DDNNError: if it cannot be read, or a line does not fit; the line is named.
    """
    path, found = Path(path), list[_Recorded]()
    try:
        for number, line in _lines(path):
            try:
                found.append(typed(_values(line), _Recorded))
            except ValueError as error:
                raise DDNNError(f"line {number} of {path} is no request: {error}") from None
    except OSError as error:
        raise DDNNError(f"{path} cannot be read: {error.strerror}; give a file of JSON lines, or .csv") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DDNNError(f"{path} is not UTF-8 text of JSON lines or CSV: {error}") from None
    found.sort(key=lambda line: line.at_s)
    return [line.request(number) for number, line in enumerate(found)]


def _lines(path: Path) -> Iterator[tuple[int, str | dict[str, str]]]:
    """Lines that are not empty, with their numbers: of CSV by the names in its header."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            rows = csv.DictReader(file, restkey="more cells than the header")
            yield from ((rows.line_num, row) for row in rows)
        else:
            yield from ((number, line) for number, line in enumerate(file, 1) if line.strip())


def _values(line: str | dict[str, str]) -> Any:
    """What a line says; in CSV, an empty cell says nothing, and all but names of nets is as in JSON."""
    if isinstance(line, str):
        return parse_json(line)
    cells = {key: cell for key, cell in line.items() if cell}
    return {key: cell if key == "subnet" or isinstance(cell, list) else parse_json(cell) for key, cell in cells.items()}


def _times(gaps: np.ndarray) -> list[float]:
    return np.cumsum(gaps).tolist()


def _check_rate(rate: float, count: int) -> None:
    if not (0 < rate < inf and count >= 0):
        raise DDNNError(f"a trace needs a rate above 0 and a count of at least 0, not {rate} and {count}")
