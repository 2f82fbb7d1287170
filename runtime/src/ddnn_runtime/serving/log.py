"""What a server writes beside its answers: a line for those who run it, and a line a request if they want it.

A log that cannot be written to, because its disk is full or nobody reads its pipe, stops no answer: a thread writes,
lines that find no place are counted, and that is said once.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from contextlib import suppress

from ddnn_runtime.errors import DDNNError

_STANDARD_ERROR = 2
MOST_LINES = 10_000
"""That wait for a slow disk."""


def say(text: str) -> None:
    """A line on standard error for those who run the server."""
    with suppress(OSError, ValueError):  # nobody reads it
        print(text, file=sys.stderr, flush=True)


class AccessLog:
    """A file of lines.

    Args:
        place: of the file; - is standard error.

    Raises:
        DDNNError: it cannot be written to.
    """

    def __init__(self, place: str) -> None:
        self._place = place
        self._lines: deque[str] = deque()
        self._change = threading.Condition()
        self._ended = self._cut = False
        self._lost = 0
        self._file = self._opened()
        self._next: int | None = None
        self._writer = threading.Thread(target=self._write_all, name="access log", daemon=True)
        self._writer.start()

    def write(self, line: str) -> None:
        """Write a line soon."""
        with self._change:
            if len(self._lines) < MOST_LINES:
                self._lines.append(line)
                self._change.notify()
            else:
                self._lose(1, "it is too slow")

    def reopen(self) -> None:
        """Go on in a new file where the old one was moved away.

        Raises:
            DDNNError: there is none; the old one goes on.
        """
        file = self._opened()
        with self._change:
            if self._next is not None:
                os.close(self._next)
            self._next = file  # the writer closes the old one, when it is not writing

    def close(self) -> None:
        """Write what waits, for some seconds at most."""
        with self._change:
            self._ended = True
            self._change.notify()
        self._writer.join(2.0)

    def _opened(self) -> int:
        if self._place == "-":
            return _STANDARD_ERROR
        try:
            return os.open(self._place, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        except OSError as error:
            raise DDNNError(f"the access log {self._place} cannot be written to: {error.strerror}") from None

    def _write_all(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._lines or self._ended)
                lines = [*self._lines]
                self._lines.clear()
                old, self._file = self._file, self._file if self._next is None else self._next
                self._next = None
            if old not in (self._file, _STANDARD_ERROR):
                os.close(old)
            if not lines:
                return
            self._write_lines(lines)

    def _write_lines(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        data = b"\n" + text if self._cut else text  # after half a line
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            self._cut = data[written - 1 : written] != b"\n" if written else self._cut
            with self._change:
                self._lose(data[max(written, len(data) - len(text)) :].count(b"\n"), error.strerror or str(error))
            return
        self._cut = False
        with self._change:
            lost, self._lost = self._lost, 0
        if lost:
            say(f"the access log {self._place} goes on; {lost} lines are missing")

    def _lose(self, count: int, reason: str) -> None:
        if not self._lost:
            say(f"the access log {self._place} cannot be written to ({reason}); requests are answered all the same")
        self._lost += count
