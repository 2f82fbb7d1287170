"""Which keys somebody gave: a default that was given is not the same as a default that nobody spoke of.

A run that goes on (`--resume`) has its own configuration, and what is given beside it changes that. So `--epochs 20`
must not be forgotten because 20 happens to be the default.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import fields
from typing import Any, Self


class Given:
    """A dataclass that remembers which of its fields it was made with."""

    def __new__(cls, *values: Any, **named: Any) -> Self:
        """Make it, and note the names."""
        config = super().__new__(cls)
        names = [item.name for item in fields(cls)]  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        object.__setattr__(config, "_given", frozenset((*names[: len(values)], *named)))
        return config

    @property
    def given(self) -> frozenset[str]:
        """The names of the fields that were given. `dataclasses.replace` gives all of them."""
        names: frozenset[str] = self.__dict__["_given"]
        return names

    def with_given(self, names: Iterable[str]) -> Self:
        """The same configuration, of which just these fields count as given."""
        other = copy(self)
        object.__setattr__(other, "_given", frozenset(names))
        return other
