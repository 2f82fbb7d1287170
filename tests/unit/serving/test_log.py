"""A log that cannot be written to stops nobody."""

import os
from pathlib import Path

import pytest

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving import log
from ddnn_runtime.serving.log import AccessLog


def test_lines_come_in_order_and_all(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("before\n")
    lines = AccessLog(str(tmp_path / "log"))
    for number in range(500):
        lines.write(f"line {number} \udcff")
    lines.close()
    assert (tmp_path / "log").read_text().splitlines() == ["before", *(f"line {n} \\udcff" for n in range(500))]


def test_a_file_that_was_moved_away_is_opened_anew(tmp_path: Path) -> None:
    lines = AccessLog(str(tmp_path / "log"))
    lines.write("first")
    while not (tmp_path / "log").read_text():
        pass
    (tmp_path / "log").rename(tmp_path / "log.1")
    lines.reopen()
    lines.reopen()
    lines.write("second")
    lines.close()
    assert [(tmp_path / name).read_text() for name in ("log.1", "log")] == ["first\n", "second\n"]


def test_a_pipe_that_nobody_reads_loses_lines_and_says_so_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log, "MOST_LINES", 10)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    lines = AccessLog(str(pipe))
    for _ in range(1000):
        lines.write("x" * 1000)
    said = capfd.readouterr().err
    assert said.count("cannot be written to (it is too slow); requests are answered all the same") == 1
    os.close(reader)  # then a write fails at once
    lines.close()


@pytest.mark.parametrize("cut", [0, 3, 8])
def test_half_a_line_is_ended_before_the_next(
    cut: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    lines, write = AccessLog(str(tmp_path / "log")), os.write
    free = cut

    def short(file: int, data: bytes) -> int:
        nonlocal free
        if not free:
            raise OSError(28, "No space left on device")
        written = write(file, data[:free])
        free -= written
        return written

    monkeypatch.setattr(log.os, "write", short)
    lines.write("1234567")
    lines.write("abcdefg")
    while "cannot be written to (No space left on device)" not in capfd.readouterr().err:
        pass
    monkeypatch.setattr(log.os, "write", write)
    lines.write("whole")
    lines.close()
    assert (tmp_path / "log").read_text().splitlines()[-1] == "whole"
    assert "goes on" in capfd.readouterr().err


def test_a_place_that_cannot_be_written_to_is_found_out_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(DDNNError, match="cannot be written to: Is a directory"):
        AccessLog(str(tmp_path))
