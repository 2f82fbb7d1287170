"""What all configurations have in common: they are made from mappings, and refuse values that make no sense."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from os import PathLike, fspath
from typing import Any, TypeVar

from ddnn.errors import DDNNError, near
from ddnn_runtime.configuration import check
from ddnn_runtime.schema import hints_of, unknown_keys
from ddnn_runtime.untrusted import shown

Config = TypeVar("Config")


def from_fields(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration of that kind from a mapping, as YAML and the command line give it; a field that is missing there
    takes its default, and values of other keys are left alone.

    Raises:
        TypeError: if a field without a default is missing.
        DDNNError: if a value makes no sense.
    """
    hints = hints_of(kind)
    arguments = {}
    for item in fields(kind):  # pyright: ignore[reportArgumentType]  # a dataclass
        if item.name in values:
            value, hint = values[item.name], hints[item.name]
            nested = is_dataclass(hint) and isinstance(value, Mapping)
            arguments[item.name] = from_fields(hint, value) if nested else value  # type: ignore[arg-type]
    return kind(**arguments)


def configured(kind: type[Config], config: Any, keys: Mapping[str, Any]) -> Config:
    """The configuration that a public function was given: whole, by keys, or whole with some keys changed.

    Args:
        kind: of configuration.
        config: a whole one; None means the defaults.
        keys: fields of it, as keyword arguments; for one that is a configuration itself, a mapping will do.

    Raises:
        DDNNError: if it is another kind, has no such key, or a value makes no sense.

    >>> from ddnn.config import ExportConfig
    >>> configured(ExportConfig, ExportConfig(format="torch"), {"pieces": False}).pieces
    False
    >>> configured(ExportConfig, None, {"peaces": False})
    Traceback (most recent call last):
    ...
    ddnn_runtime.errors.DDNNError: there is no key 'peaces' in ExportConfig; did you mean pieces? Allowed: format, \
output, pieces, one_file, opset, precision, max_batch, check_images, data, data_root, image_size, mean, std
    """
    if config is not None and not isinstance(config, kind):
        raise DDNNError(f"config must be a ddnn.{kind.__name__}, not {shown(config)}")
    for key in unknown_keys(kind, keys):
        known = [item.name for item in fields(kind)]  # pyright: ignore[reportArgumentType]  # a dataclass
        raise DDNNError(f"there is no key {key!r} in {kind.__name__}; {near(key, known)}")
    given = {} if config is None else {item.name: getattr(config, item.name) for item in fields(kind)}  # pyright: ignore[reportArgumentType]
    return from_fields(kind, {**given, **keys})


def listed(given: list[str] | str) -> list[str]:
    """A list of texts that may be one text with commas between them.

    >>> listed("eager, onnx")
    ['eager', 'onnx']
    """
    given = fspath(given) if isinstance(given, PathLike) else given  # which passes for a text, see `check_types`
    return [word.strip() for word in given.split(",") if word.strip()] if isinstance(given, str) else list(given)


def whole_numbers(key: str, given: list[int] | int | str, example: str) -> list[int]:
    """A list of whole numbers that may be one of them, or a text with commas between them.

    Raises:
        DDNNError: for a word that is no whole number of 0 or more.

    >>> whole_numbers("batch_sizes", "1,8", "1,8"), whole_numbers("threads", 2, "1,2")
    ([1, 8], [2])
    """
    if not isinstance(given, str | PathLike):
        return [given] if isinstance(given, int) else list(given)
    words = listed(given)
    for word in words:
        check(word.isascii() and word.isdigit(), f"{key} must be whole numbers such as {example}, not {given!r}")
    return [int(word) for word in words]


def check_distinct(key: str, values: Sequence[object], hint: str) -> None:
    """Raise a DDNNError if a list is empty, or has something twice."""
    if not values:
        raise DDNNError(f"{key} is empty; {hint}")
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    check(not twice, f"{', '.join(twice)} is given twice among the {key}")
