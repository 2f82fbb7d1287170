"""What is stored of a cascade comes back, and what does not fit the network is refused."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ddnn.errors import DDNNError, ModelFileError
from ddnn_runtime.cascade_spec import FILE, CalibratedOn, CascadeSpec, Expected, participants, read_cascade

NAMES = ("resnet8", "resnet14", "resnet20")
SPEC = CascadeSpec(
    {"resnet8": 0.93, "resnet14": 0.5},
    "resnet20",
    {"accuracy": 0.95},
    CalibratedOn("digits", "validation", 144),
    Expected(0.951, 2.1e7, "macs", {"resnet8": 0.7, "resnet14": 0.2, "resnet20": 0.1}),
    "9f86d08",
)


def stored(directory: Path, **changes: Any) -> Path:
    (directory / FILE).write_text(json.dumps({**SPEC.to_json(), **changes}))
    return directory


def test_what_is_stored_comes_back(tmp_path: Path) -> None:
    assert read_cascade(stored(tmp_path), NAMES) == SPEC
    assert read_cascade(tmp_path, NAMES, weights="9f86d08") == SPEC


def test_a_share_comes_back_and_without_one_the_file_is_as_before(tmp_path: Path) -> None:
    assert "boost" not in SPEC.to_json()
    (tmp_path / FILE).write_text(json.dumps(replace(SPEC, boost=0.5).to_json()))
    assert read_cascade(tmp_path, NAMES) == replace(SPEC, boost=0.5)


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_cascade(tmp_path, NAMES) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "format 2 is not 1"),
        ({"thresholds": {"resnet9": 0.9}}, "no net 'resnet9'"),
        ({"thresholds": {"resnet8": 1.5}}, "probability"),
        ({"thresholds": {"resnet8": "high"}}, "resnet8 must be a number"),
        ({"thresholds": 3}, "damaged"),
        ({"last": "resnet56"}, "'resnet56' that could come last"),
        ({"last": "resnet8"}, "ends with resnet8"),
        ({"expected": {"accuracy": 1}}, "damaged"),
        ({"calibrated_on": None}, "damaged"),
        ({"boost": 1.5}, "damaged"),
        ({"boost": "half"}, "damaged"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelFileError, match=f"{FILE} cannot be used: .*{message}.*calibrate again"):
        read_cascade(stored(tmp_path, **changes), NAMES)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}', "\udcff"])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(ModelFileError, match="damaged"):
        read_cascade(tmp_path, NAMES)


def test_one_for_other_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"calibrated for other weights.*calibrate again"):
        read_cascade(stored(tmp_path), NAMES, weights="1234567")
    assert read_cascade(stored(tmp_path, weights=None), NAMES, weights="1234567") is not None


def test_the_nets_of_a_cascade_go_from_shallow_to_deep() -> None:
    assert participants(NAMES, {"resnet14": 0.1, "resnet8": 1}) == NAMES
    assert participants(NAMES, {"resnet8": 0}, "resnet14") == ("resnet8", "resnet14")
    assert participants(NAMES, {}, "resnet8") == ("resnet8",)
    with pytest.raises(DDNNError, match="at least one net before resnet20"):
        participants(NAMES, {})


def test_it_is_read_without_torch() -> None:
    code = "import sys, ddnn_runtime.cascade_spec; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
