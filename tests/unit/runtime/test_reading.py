"""Rules of reading that are stored with a network, and those of networks that were stored without."""

import json
from dataclasses import asdict, replace

import pytest

from ddnn_runtime.data_spec import DataSpec, of_any_version
from ddnn_runtime.errors import DDNNError
from ddnn_runtime.reading import AS_SHOWN, BEFORE, Reading

SPEC = DataSpec(3, (8, 8), (0.5,) * 3, (0.5,) * 3, ("a", "b"))
OTHER = Reading("stored", (1, 2, 3), (0.0, 4095.0), "pad", 10**6)


@pytest.mark.parametrize("reading", [AS_SHOWN, BEFORE, OTHER, Reading(resize="squeeze", background=None)])
def test_rules_come_back_as_they_were_stored(reading: Reading) -> None:
    spec = replace(SPEC, reading=reading)
    assert DataSpec.from_json(json.loads(json.dumps(spec.to_json()))) == spec


def test_what_was_stored_without_rules_is_read_as_it_was_then() -> None:
    old = {key: value for key, value in SPEC.to_json().items() if key != "reading"}
    assert DataSpec.from_json(old).reading == BEFORE
    assert of_any_version({"data": old})["data"]["reading"] == asdict(BEFORE)
    assert of_any_version({"data": None, "full": "x"}) == {"data": None, "full": "x"}
    assert of_any_version({"data": SPEC.to_json()})["data"]["reading"] == asdict(AS_SHOWN)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"orientation": "up"}, "orientation"),
        ({"background": [0, 0, 256]}, "background"),
        ({"background": [0, 0]}, "background"),
        ({"levels": [1, 0]}, "black"),
        ({"levels": "clipped"}, "levels"),
        ({"resize": "stretch"}, "resize"),
        ({"resize": "pad", "background": None}, "background"),
        ({"max_pixels": 0}, "max_pixels"),
        ({"max_pixels": 10**10}, "max_pixels"),
        ({"sharpen": True}, "sharpen"),
    ],
)
def test_rules_that_make_no_sense_are_refused(changed: dict[str, object], message: str) -> None:
    values = SPEC.to_json()
    with pytest.raises(DDNNError, match=message):
        DataSpec.from_json({**values, "reading": {**values["reading"], **changed}})


def test_another_limit_of_pixels_changes_nothing_else() -> None:
    assert SPEC.allowing(None) is SPEC
    assert SPEC.allowing(5) == replace(SPEC, reading=Reading(max_pixels=5))
