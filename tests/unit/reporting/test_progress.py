import sys

import pytest

from ddnn.reporting.progress import bar, shows_bar, steps


def test_without_a_terminal_each_step_is_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with steps(2, progress=True) as step:
        step("one")
        step("two")
    assert capsys.readouterr() == ("", "1/2  one\n2/2  two\n")


def test_nothing_is_shown_where_nothing_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    with steps(1, progress=False) as step:
        step("one")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar_and_names_are_no_markup(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not shows_bar(True)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert shows_bar(True)
    assert not shows_bar(False)
    with steps(2, progress=True) as step:
        step("[red]one[/]")
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "2/2" in shown.err
    assert "\n1/2" not in shown.err


def test_a_bar_says_what_is_done(capsys: pytest.CaptureFixture[str]) -> None:
    with bar(3) as move:
        move(3, "[3] of 3")
    assert "[3] of 3" in capsys.readouterr().err
