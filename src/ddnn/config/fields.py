"""What all configurations have in common: they are made from mappings, and refuse values that make no sense."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar, get_type_hints

from ddnn.errors import DDNNError

Config = TypeVar("Config")


def from_fields(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration of that kind from a mapping, as YAML and the command line give it; values of other keys are
    left alone.

    Raises:
        KeyError: if a field is missing.
        DDNNError: if a value makes no sense.
    """
    hints = get_type_hints(kind)
    arguments = {}
    for item in fields(kind):  # pyright: ignore[reportArgumentType]  # a dataclass
        value = values[item.name]
        arguments[item.name] = from_fields(hints[item.name], value) if is_dataclass(hints[item.name]) else value
    return kind(**arguments)


def check(condition: bool, message: str) -> None:
    """Raise a DDNNError with the message, unless the condition holds."""
    if not condition:
        raise DDNNError(message)
