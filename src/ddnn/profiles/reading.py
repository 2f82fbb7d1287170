"""Read a profile that may have come from anywhere: what is not as `ddnn profile` writes it is refused."""

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

from ddnn.errors import DDNNError, ModelFileError
from ddnn.profiles.profile import FORMAT, KIND, PROFILE, Condition, Figures, Measured, NetFacts, Profile
from ddnn_runtime.sealed_json import parse_json


def read_profile(path: Path) -> Profile:
    """Read a profile.

    Args:
        path: the file, or its folder.

    Raises:
        ModelFileError: if it is missing, damaged, or something else.
    """
    path = path / PROFILE if path.is_dir() else path
    if not path.is_file():
        raise ModelFileError(f"{path} is missing; make a profile with `ddnn profile RUN`, or copy one here")
    again = "copy it again, or make a new one with `ddnn profile RUN`"
    try:
        values = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged: {' '.join(str(error).split())}; {again}") from None
    if not isinstance(values, dict) or values.get("kind") != KIND:
        raise ModelFileError(f"{path} is no profile of `ddnn profile`, but something else; give its profile.json")
    if values.get("format") != FORMAT:
        raise ModelFileError(f"{path} has format {values.get('format')!r}; this version of ddnn reads {FORMAT}")
    try:
        return _from_json(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = str(error) if isinstance(error, DDNNError) else repr(error)
        raise ModelFileError(f"{path} is damaged: {reason}; {again}") from None


def _from_json(values: Mapping[str, Any]) -> Profile:
    nets = {str(name): _facts(facts) for name, facts in values["nets"].items()}
    measured = [_measured(each, nets) for each in values["measured"]]
    if values["full"] not in nets:
        raise DDNNError(f"its full net {values['full']!r} is not among its nets")
    if not measured:
        raise DDNNError("it has no condition")
    texts = ("source", "weights", "full", "device_name", "device", "date")
    known = values["accuracy_of"]
    return Profile(
        **{key: _text(values, key) for key in texts},
        nets=nets,
        image_size=_size(values),
        shared_file_bytes=_count(values, "shared_file_bytes"),
        accuracy_of=None if known is None else _text(values, "accuracy_of"),
        software={str(name): str(version) for name, version in values["software"].items()},
        measured=measured,
    )


def _facts(values: Mapping[str, Any]) -> NetFacts:
    accuracy = values["accuracy"]
    if accuracy is not None and not 0 <= accuracy <= 1:
        raise DDNNError(f"an accuracy is {accuracy}")
    depth = tuple(int(blocks) for blocks in values["depth"])
    return NetFacts(depth, _count(values, "parameters"), _count(values, "file_bytes"), accuracy)


def _measured(values: Mapping[str, Any], nets: Mapping[str, NetFacts]) -> Measured:
    given = values["condition"]
    condition = Condition(
        _text(given, "runtime"),
        _text(given, "precision"),
        _count(given, "batch_size"),
        _size(given),
        _count(given, "threads"),
    )
    figures = {str(name): _figures(each) for name, each in values["nets"].items()}
    if figures.keys() != nets.keys():
        raise DDNNError(f"nets are missing for {condition}")
    return Measured(condition, {name: figures[name] for name in nets})


def _figures(values: Mapping[str, Any]) -> Figures:
    return Figures(
        _count(values, "macs"),
        _positive(values, "median_ms"),
        _positive(values, "p95_ms"),
        _positive(values, "ratio"),
        _count(values, "turns"),
        _positive(values, "images_per_second"),
        None if values["peak_memory_mb"] is None else _positive(values, "peak_memory_mb"),
        None if values["library_memory_mb"] is None else _positive(values, "library_memory_mb"),
    )


def _size(values: Mapping[str, Any]) -> tuple[int, int]:
    height, width = values["image_size"]
    return int(height), int(width)


def _text(values: Mapping[str, Any], key: str) -> str:
    if not isinstance(values[key], str):
        raise DDNNError(f"{key} is {values[key]!r}")
    return values[key]


def _count(values: Mapping[str, Any], key: str) -> int:
    value = values[key]
    if type(value) is not int or value < 0:
        raise DDNNError(f"{key} is {value!r}")
    return value


def _positive(values: Mapping[str, Any], key: str) -> float:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value) or value <= 0:
        raise DDNNError(f"{key} is {value!r}")
    return value
