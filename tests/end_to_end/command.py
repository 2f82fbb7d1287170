"""Run the command line in this process, as a person would see it."""

from typing import NamedTuple

import pytest

from ddnn.cli import main


class Result(NamedTuple):
    status: int
    out: str
    err: str


def run(capfd: pytest.CaptureFixture[str], *arguments: object) -> Result:
    capfd.readouterr()
    status = main([str(argument) for argument in arguments])
    captured = capfd.readouterr()
    return Result(status, captured.out, captured.err)


def refused(result: Result, status: int = 1) -> str:
    """The message of a command that failed as it should: one or two lines, no traceback, nothing on standard output."""
    assert result.status == status, result.err
    assert result.out == ""
    assert result.err.startswith("ddnn: error: ")
    assert "Traceback" not in result.err
    assert len(result.err.strip().splitlines()) <= 2
    return result.err
