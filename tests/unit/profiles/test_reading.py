"""A profile can be read again, and nothing else can."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ddnn.errors import ModelFileError
from ddnn.profiles import read_profile
from ddnn.profiles.report import write_profile
from tests.unit.profiles.samples import sample


def test_what_was_written_is_read(tmp_path: Path) -> None:
    profile = sample()
    write_profile(tmp_path / "board", profile)
    assert read_profile(tmp_path / "board") == profile == read_profile(tmp_path / "board" / "profile.json")


def test_accuracies_may_be_unknown(tmp_path: Path) -> None:
    profile = sample(accuracies=(None, None), accuracy_of=None)
    write_profile(tmp_path, profile)
    assert read_profile(tmp_path) == profile
    assert not (tmp_path / "accuracy_over_latency.png").exists()


def _set(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        *parents, last = path
        for key in parents:
            document = document[key]
        if to is None:
            del document[last]
        else:
            document[last] = to

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("kind", to="something"), "was not written by `ddnn profile`"),
        (_set("format", to=2), "has format 2; this version of ddnn reads 1"),
        (_set("nets", to=None), "is damaged: it lacks nets; copy it again"),
        (_set("nets", to=[]), "is damaged"),
        (_set("full", to="large"), "its full net 'large' is not among its nets"),
        (_set("measured", to=[]), "it has no condition"),
        (_set("nets", "small", "accuracy", to=90), r"nets\.small\.accuracy must be in \[0, 1\], not 90"),
        (_set("nets", "small", "accuracy", to=float("nan")), r"nets\.small\.accuracy must be in \[0, 1\], not nan"),
        (_set("nets", "small", "depth", to="deep"), "is damaged"),
        (_set("measured", 0, "nets", "small", to=None), "nets are missing for eager"),
        (
            _set("measured", 0, "nets", "small", "median_ms", to=-1.0),
            r"measured\[0\]\.nets\.small\.median_ms must be above 0 and finite, not -1\.0",
        ),
        (_set("measured", 0, "nets", "small", "median_ms", to="fast"), "median_ms must be a number, not 'fast'"),
        (_set("measured", 0, "nets", "small", "p95_ms", to=float("inf")), "p95_ms must be above 0 and finite, not inf"),
        (
            _set("measured", 0, "nets", "small", "peak_memory_mb", to=0),
            "peak_memory_mb must be above 0 and finite, not 0",
        ),
        (_set("measured", 0, "condition", "image_size", to=[32]), "is damaged"),
        (_set("measured", 0, "condition", "batch_size", to=1.5), r"batch_size must be an integer, not 1\.5"),
        (_set("device_name", to=3), "device_name must be text, not 3"),
    ],
)
def test_a_damaged_profile_is_refused(change: Callable[[dict[str, Any]], None], message: str, tmp_path: Path) -> None:
    write_profile(tmp_path, sample())
    path = tmp_path / "profile.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))
    with pytest.raises(ModelFileError, match=message):
        read_profile(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is damaged"),
        ("[1]", "is damaged: it is no JSON object"),
        ('{"nets": {}}', "was not written by `ddnn profile`"),
        ("\0\xff", "damaged"),
    ],
)
def test_something_else_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "profile.json").write_text(text, encoding="latin-1")
    with pytest.raises(ModelFileError, match=message):
        read_profile(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"nowhere\.json is missing"):
        read_profile(tmp_path / "nowhere.json")
