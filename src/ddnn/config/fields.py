"""What all configurations have in common: they are made from mappings, and refuse values that make no sense."""

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from os import PathLike
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ddnn.errors import DDNNError
from ddnn_runtime.geometry import MOST_PIXELS

Config = TypeVar("Config")

# One and many of each.
_NAMES = {int: ("an integer", "integers"), float: ("a number", "numbers"), str: ("text", "texts")}


def from_fields(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """A configuration of that kind from a mapping, as YAML and the command line give it; a field that is missing there
    takes its default, and values of other keys are left alone.

    Raises:
        TypeError: if a field without a default is missing.
        DDNNError: if a value makes no sense.
    """
    hints = get_type_hints(kind)
    arguments = {}
    for item in fields(kind):  # pyright: ignore[reportArgumentType]  # a dataclass
        if item.name in values:
            value, hint = values[item.name], hints[item.name]
            nested = is_dataclass(hint) and isinstance(value, Mapping)
            arguments[item.name] = from_fields(hint, value) if nested else value  # type: ignore[arg-type]
    return kind(**arguments)


def unknown_keys(kind: type, values: Mapping[str, Any]) -> list[str]:
    """The keys of a mapping that a configuration of that kind has no field for, such as `ekd.gamma`."""
    hints = get_type_hints(kind)
    unknown = [str(key) for key in values if key not in hints]
    for key, value in values.items():
        if is_dataclass(hints.get(key)) and isinstance(value, Mapping):
            unknown += [f"{key}.{inner}" for inner in unknown_keys(hints[key], value)]
    return unknown


def check(condition: bool, message: str) -> None:
    """Raise a DDNNError with the message, unless the condition holds."""
    if not condition:
        raise DDNNError(message)


def check_max_corrupt(allowed: int | None) -> None:
    """Raise a DDNNError unless so many images can be left out; None leaves it to another configuration."""
    check(allowed is None or allowed >= 0, f"max_corrupt must be 0 or more, not {allowed}")


def check_max_pixels(allowed: int | None) -> None:
    """Raise a DDNNError unless an image may have so many pixels; None leaves it to another configuration."""
    check(allowed is None or 1 <= allowed <= MOST_PIXELS, f"max_pixels must be 1 to {MOST_PIXELS}, not {allowed}")


def listed(given: list[str] | str) -> list[str]:
    """A list of texts that may be one text with commas between them.

    >>> listed("eager, onnx")
    ['eager', 'onnx']
    """
    return [word.strip() for word in given.split(",") if word.strip()] if isinstance(given, str) else list(given)


def whole_numbers(key: str, given: list[int] | int | str, example: str) -> list[int]:
    """A list of whole numbers that may be one of them, or a text with commas between them.

    Raises:
        DDNNError: for a word that is no whole number of 0 or more.

    >>> whole_numbers("batch_sizes", "1,8", "1,8"), whole_numbers("threads", 2, "1,2")
    ([1, 8], [2])
    """
    if not isinstance(given, str):
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


def check_types(config: Any, prefix: str = "") -> None:
    """Raise a DDNNError for the first field of a configuration whose value is not what its annotation says.

    An integer is a number too, a tuple a list, and a path a text. The prefix, such as `ekd.`, goes before the name.
    """
    for name, hint in get_type_hints(type(config)).items():
        value = getattr(config, name)
        check(_fits(value, hint), f"{prefix}{name} must be {described(hint)}, not {value!r}")


def _fits(value: Any, hint: Any) -> bool:
    origin, parts = get_origin(hint), get_args(hint)
    if hint is Any:
        return True
    if origin in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if origin is Literal:
        return any(type(value) is type(choice) and value == choice for choice in parts)
    if origin is list:
        return isinstance(value, list | tuple) and all(_fits(item, parts[0]) for item in value)
    if origin is dict:
        return isinstance(value, Mapping) and all(
            _fits(key, parts[0]) and _fits(item, parts[1]) for key, item in value.items()
        )
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, {float: (int, float), str: (str, PathLike)}.get(hint, hint))


def described(hint: Any) -> str:
    """What a value with that annotation may be, in words. None goes without saying: it is said by leaving the key out.

    >>> described(bool | Literal["fast"]), described(int | None), described(dict[str, list[int]] | str)
    ('true, false or fast', 'an integer', 'a mapping to lists of integers or text')
    """
    *most, last = _alternatives(hint)
    return f"{', '.join(most)} or {last}" if most else last


def _alternatives(hint: Any, many: bool = False) -> list[str]:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return [name for part in parts if part is not NoneType for name in _alternatives(part, many)]
    if origin is Literal:
        return [str(choice) for choice in parts]
    if hint is bool:
        return ["true", "false"]
    if origin is list:
        return [f"{'lists' if many else 'a list'} of {' or '.join(_alternatives(parts[0], many=True))}"]
    if origin is dict and parts[1] is not Any:
        return [f"{'mappings' if many else 'a mapping'} to {' or '.join(_alternatives(parts[1], many=True))}"]
    return [_NAMES.get(hint, ("a mapping", "mappings"))[many]]
