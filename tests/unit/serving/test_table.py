"""The table: times between the sizes that were measured, paces, measuring, and profiles that fit or are refused."""

import json
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn.profiles import Condition
from ddnn.profiles.export_subject import ExportSubject
from ddnn.profiles.measure import measured_profile
from ddnn.profiles.report import write_profile
from ddnn_runtime import Runtime
from ddnn_runtime.cascade_spec import CalibratedOn, CascadeSpec, Expected
from ddnn_runtime.errors import DDNNError, ModelFileError
from ddnn_runtime.serving.table import Pace, Table, from_profile, measured
from tests.exports import NAMES, shared_export
from tests.unit.serving.strategies import TABLE, tables

CASCADE = CascadeSpec(
    {"resnet8": 0.9},
    "resnet14",
    {"accuracy": 0.8},
    CalibratedOn("digits", "validation", 10),
    Expected(0.83, 1e6, "macs", {"resnet8": 0.5, "resnet14": 0.5}),
)


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Runtime:
    """An export with a calibrated cascade, on one thread."""
    found = Runtime(shared_export(tmp_path_factory), threads=1)
    found.manifest = replace(found.manifest, cascade=CASCADE)
    return found


@settings(max_examples=40)
@given(tables(), st.integers(1, 16))
def test_cost_is_on_the_line_between_measured_sizes(table: Table, images: int) -> None:
    images = min(images, table.largest)
    for name, row in table.rows.items():
        assert table.cost(name, images) == pytest.approx(np.interp(images, table.batches, row))


def test_pace_is_the_smallest_batch_beyond_which_larger_ones_hardly_pay() -> None:
    table = Table((1, 2, 4), {"a": (1.0, 1.2, 2.3), "b": (1.0, 2.0, 4.0)}, {"a": None, "b": None})
    assert table.paces == {"a": Pace(2, 0.6), "b": Pace(1, 1.0)}
    assert table.seconds_an_image == 0.575


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batches": (2, 4, 8, 16, 32)}, "must ascend from 1"),
        ({"batches": (1, 2)}, "5 times of shallow for 2 sizes"),
        ({"cascade": (1.0,)}, "1 times of the cascade for 5 sizes"),
        ({"cascade": (1.0, 1.0, 1.0, 1.0, inf)}, "times of the cascade must be finite"),
        ({"seconds": {}}, "at least one net"),
        ({"accuracies": {"full": 0.5}}, "an accuracy or None for each"),
    ],
)
def test_tables_that_make_no_sense(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        replace(TABLE, **changes)


def test_nets_are_measured_with_the_cascade(runtime: Runtime) -> None:
    table = measured(runtime, 6, 0.0, workers=2)
    assert table.batches == (1, 2, 4, 6)
    assert table.names == NAMES
    assert table.accuracies == {"resnet8": 0.7, "resnet14": 0.9, "resnet20": 0.8}
    assert table.cascade_accuracy == 0.83
    assert set(table.rows) == {*NAMES, None}
    for row in table.rows.values():
        assert list(row) == sorted(row)
        assert row[-1] == pytest.approx(6 * row[0])  # there was time for one image alone


@pytest.fixture(scope="module")
def profile(runtime: Runtime, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As `ddnn profile` writes one."""
    folder = tmp_path_factory.mktemp("profile")
    size = runtime.manifest.input_shape[1:]
    conditions = [Condition("onnx", "fp32", batch, size, 1) for batch in (1, 4, 2)]
    subject = ExportSubject(runtime.directory, "cpu")
    written = measured_profile(subject, conditions, "export", "here", 0.01, with_memory=False, progress=False)
    write_profile(folder, replace(written, accuracy_of=None))  # without a picture
    return folder / "profile.json"


def test_a_profile_of_these_nets_is_a_table(profile: Path, runtime: Runtime) -> None:
    table = from_profile(profile, runtime)
    figures = json.loads(profile.read_text())["measured"]
    single = {name: figures[0]["nets"][name]["p95_ms"] / 1e3 for name in NAMES}
    assert {name: row[0] for name, row in table.seconds.items()} == pytest.approx(single)
    assert table.batches == (1, 2, 4)
    assert table.cascade is not None
    assert table.cascade[0] == pytest.approx(single["resnet8"] + single["resnet14"])
    assert (table.accuracies["resnet14"], table.cascade_accuracy) == (0.9, 0.83)
    assert from_profile(profile, runtime, largest=3).batches == (1, 2)


@pytest.mark.parametrize(
    ("change", "kind", "message"),
    [
        (lambda values: values.update(weights="abc"), ModelFileError, "is a profile of other nets than"),
        (lambda values: values["measured"].pop(0), DDNNError, "no times of these nets for one image with 1 threads"),
        (lambda values: values["measured"][0]["condition"].update(threads=2), DDNNError, "for one image with 1"),
        (lambda values: values["measured"][0]["condition"].update(runtime="eager"), DDNNError, "for one image"),
        (lambda values: values["measured"][0]["nets"].pop("resnet8"), DDNNError, "no times of these nets"),
        (lambda values: values.update(kind="recipe"), ModelFileError, "was not written by `ddnn profile`"),
        (lambda values: values["measured"][0]["nets"]["resnet8"].update(p95_ms=-1), ModelFileError, "is damaged"),
        (lambda values: values.update(measured=3), ModelFileError, "is damaged"),
    ],
)
def test_other_profiles_are_refused(
    profile: Path, runtime: Runtime, tmp_path: Path, change: Any, kind: type[DDNNError], message: str
) -> None:
    values = json.loads(profile.read_text())
    change(values)
    (tmp_path / "profile.json").write_text(json.dumps(values))
    with pytest.raises(kind, match=message) as raised:
        from_profile(tmp_path / "profile.json", runtime)
    assert "ddnn profile" in str(raised.value)


def test_a_profile_that_is_not_there(runtime: Runtime, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read"):
        from_profile(tmp_path / "profile.json", runtime)
