"""Checks that every configuration makes of itself when it is made: those of ddnn, and those of a server on a device."""

from dataclasses import is_dataclass
from typing import Any

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.schema import hints_of, misfit
from ddnn_runtime.untrusted import shown


def check(condition: bool, message: str) -> None:
    """Raise a DDNNError with the message, unless the condition holds."""
    if not condition:
        raise DDNNError(message)


def check_types(config: Any, prefix: str = "") -> None:
    """Raise a DDNNError for the first field of a configuration whose value is not what its annotation says: of another
    type, or outside its limits.

    An integer is a number too, a tuple a list, and a path a text. The prefix, such as `ekd.`, goes before the name.
    """
    for name, hint in hints_of(type(config)).items():
        value = getattr(config, name)
        if is_dataclass(hint) and not isinstance(value, hint):  # type: ignore[arg-type]  # a mapping would fit, too
            raise DDNNError(f"{prefix}{name} must be an object of {hint.__name__}, not {shown(value)}")  # type: ignore[union-attr]
        wrong = misfit(value, hint, f"{prefix}{name}")
        check(wrong is None, str(wrong))
