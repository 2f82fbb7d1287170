import pytest

from ddnn.reporting.tables import print_table


def test_what_the_user_has_named_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    names = ["[red]cat", "[/x]", ":dog:", r"back\[slash]"]
    print_table("runs/[bold]:cat:", ["image", "[label]"], [(name, name) for name in names])
    title, header, _rule, *rows = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert title == ["runs/[bold]:cat:"]
    assert header == ["image", "[label]"]
    assert rows == [[name, name] for name in names]
