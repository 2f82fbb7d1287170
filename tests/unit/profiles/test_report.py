"""A profile as files and tables."""

import csv
from pathlib import Path

import pytest

from ddnn.profiles.plot import Line, Spot, accuracy_over_latency
from ddnn.profiles.profile import Measured, caveats
from ddnn.profiles.report import folder_for, show, write_profile
from tests.unit.profiles.samples import EAGER, figures, sample

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_csv_has_a_row_for_each_condition_and_net(tmp_path: Path) -> None:
    write_profile(tmp_path, sample())
    with (tmp_path / "profile.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["runtime"], row["net"], row["median_ms"]) for row in rows] == [
        ("eager", "small", "2.0"),
        ("eager", "full", "4.0"),
        ("onnx", "small", "1.0"),
        ("onnx", "full", "3.0"),
    ]
    assert (rows[0]["depth"], rows[0]["accuracy"], rows[3]["peak_memory_mb"]) == ("1 1", "0.9", "")
    assert (tmp_path / "accuracy_over_latency.png").read_bytes().startswith(PNG)


def test_the_table_says_what_its_figures_are(capsys: pytest.CaptureFixture[str]) -> None:
    show(sample())
    out = capsys.readouterr().out
    assert "runs/x on Board: eager, fp32, batch 1, 32x32 pixels, 1 thread" in out
    assert "accuracy: test images of x" in out
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("small"))
    assert row == ["small", "1", "1", "0.00", "0.00", "0.00", "90.00", "2", "4", "0.500", "500", "100.0", "40.0"]


def test_accuracies_that_were_measured_otherwise_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    converted = type(EAGER)("eager", "bf16", 1, (64, 64), 1)
    show(sample([Measured(converted, {"small": figures(1.0), "full": figures(2.0)})]))
    out = capsys.readouterr().out
    assert "may differ in bf16" in out
    assert "images of 32x32 pixels, and will differ with 64x64" in out
    assert not caveats(EAGER, (32, 32))


def test_folders_are_named_after_devices() -> None:
    assert folder_for("run", "Ärm v8/64 (2x)", None) == Path("run/profiles/rm-v8-64-2x")
    assert folder_for("run", "…", None) == Path("run/profiles/device")
    assert folder_for("run", "Board", "there") == Path("there")


@pytest.mark.parametrize("times", [(1.0, 1.0), (1.0, 2.0), (0.01, 100.0)])
def test_names_are_no_formulas_in_a_plot(times: tuple[float, float]) -> None:
    spots = [Spot("a_$x^$", times[0], 0.5), Spot("b", times[1], 0.5, trained=False)]
    assert accuracy_over_latency("$_{", [Line("$", spots)], "$").startswith(PNG)
