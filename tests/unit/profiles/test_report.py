"""A profile as files and tables."""

import csv
from pathlib import Path

import pytest

from ddnn.profiles.plot import Line, Spot, accuracy_over_latency
from ddnn.profiles.profile import Measured, caveats
from ddnn.profiles.report import folder_for, reserved, show, write_files, write_profile
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


def test_a_folder_that_was_made_in_vain_is_removed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), reserved(tmp_path / "a" / "b"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_a_folder_of_somebody_s_stays(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RuntimeError), reserved(tmp_path):
        raise RuntimeError
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_cannot_be_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"), reserved(tmp_path / "file"):
        pytest.fail("that came too late")


def test_files_of_the_same_names_are_replaced_and_no_others(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text("old")
    write_files(tmp_path, {"a": b"new", "c": b"new"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "new", "b": "old", "c": "new"}


def test_folders_are_named_after_devices() -> None:
    assert folder_for("run", "Ärm v8/64 (2x)", None) == Path("run/profiles/rm-v8-64-2x")
    assert folder_for("run", "…", None) == Path("run/profiles/device")
    assert folder_for("run", "Board", "there") == Path("there")


@pytest.mark.parametrize("times", [(1.0, 1.0), (1.0, 2.0), (0.01, 100.0)])
def test_names_are_no_formulas_in_a_plot(times: tuple[float, float]) -> None:
    spots = [Spot("a_$x^$", times[0], 0.5), Spot("b", times[1], 0.5, trained=False)]
    assert accuracy_over_latency("$_{", [Line("$", spots)], "$").startswith(PNG)
