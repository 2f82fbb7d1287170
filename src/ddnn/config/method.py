"""One row of a comparison: a method, what it changes of the common configuration, and how long it may train.

As text, such as `ekd:teacher=next:alpha=0.5@compute`: a name of `METHODS`, changes of keys of `ddnn train`, and a
budget. So an ablation is a method like any other, and one command gives one table.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ddnn.config.data import AugmentConfig, DataConfig
from ddnn.config.ekd import EKDConfig
from ddnn.config.fields import from_fields
from ddnn.config.train import TrainConfig
from ddnn.errors import DDNNError, near

METHODS = ("alone", "pruned", "joint", "ekd", "inplace", "adn", "sampled", "cooperative")
"""What can be compared; docs/comparing.md says what each does."""

Budget = Literal["epochs", "steps", "compute"]
"""What a method gets as much of as training all nets alone: epochs in each run, or steps or multiply-accumulates in all
of its runs together."""
BUDGETS: tuple[Budget, ...] = get_args(Budget)

_FIXED = frozenset(
    ("full", "subnets", "objective", "epochs", "seed", "output", "resume", "device", "devices", "strategy", "limit")
)
"""Keys of a training run that all methods of a comparison have in common, besides those that say which images."""


@dataclass(frozen=True)
class Method:
    """What is compared.

    Args:
        base: one of `METHODS`.
        changes: keys with their values as JSON or text, such as ("ekd.teacher", "next"); `teacher=next` for short.
        budget: how long it trains.

    Example:
        >>> method = Method.parse("ekd:teacher=mean:channels_last=true@compute")
        >>> method.base, method.changes, method.budget
        ('ekd', (('ekd.teacher', 'mean'), ('channels_last', 'true')), 'compute')
        >>> str(method), str(Method.parse("ekd"))
        ('ekd:teacher=mean:channels_last=true@compute', 'ekd')
    """

    base: str
    changes: tuple[tuple[str, str], ...] = ()
    budget: Budget = "epochs"

    @classmethod
    def parse(cls, text: str) -> "Method":
        """A method from its text.

        Raises:
            DDNNError: if there is no such method, key or budget; which is meant is said.
        """
        spec, at, budget = text.partition("@")
        base, *changes = spec.split(":")
        if base not in METHODS:
            raise DDNNError(f"there is no method {base!r}; {near(base, METHODS)}")
        if at and budget not in BUDGETS:
            raise DDNNError(f"{text} names no budget; {near(budget, BUDGETS)}")
        pairs = tuple(_change(base, change) for change in changes)
        twice = {key for key, _ in pairs if [other for other, _ in pairs].count(key) > 1}
        if twice:
            raise DDNNError(f"{text} changes {', '.join(sorted(twice))} twice")
        return cls(base, pairs, budget or "epochs")  # type: ignore[arg-type]

    def __str__(self) -> str:
        changes = "".join(f":{_short(self.base, key)}={value}" for key, value in self.changes)
        return f"{self.base}{changes}{'' if self.budget == 'epochs' else f'@{self.budget}'}"

    @property
    def is_plain(self) -> bool:
        """Whether it is a method as it stands, for as many epochs as are configured."""
        return not self.changes and self.budget == "epochs"

    def applied(self, train: TrainConfig) -> TrainConfig:
        """The configuration with the changes of this method.

        Raises:
            DDNNError: if a value makes no sense.
        """
        if not self.changes:
            return train
        values = dataclasses.asdict(train)
        for key, text in self.changes:
            outer, dot, inner = key.partition(".")
            place, own = (values[outer], inner) if dot else (values, outer)
            place[own] = _value(text)
        try:
            return from_fields(TrainConfig, values)
        except DDNNError as error:
            raise DDNNError(f"{self}: {error}") from None


def _change(base: str, text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise DDNNError(f"{text!r} changes nothing; write a key and a value, such as {base}:weight_decay=0.001")
    allowed = changeable()
    long = f"ekd.{key}" if base == "ekd" and f"ekd.{key}" in allowed else key
    if long not in allowed:
        raise DDNNError(f"a method cannot change {key!r}; {near(key, allowed)}")
    return long, value


def _value(text: str) -> Any:
    """A number, true, false, null or a list as in JSON; anything else is text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def changeable() -> tuple[str, ...]:
    """The keys that a method may change, nested ones with a dot: not those that say which nets, images or machine."""
    images = {field.name for field in dataclasses.fields(DataConfig)} - {"augment", "batch_size"}
    own = [field.name for field in dataclasses.fields(TrainConfig) if field.name not in _FIXED | images]
    nested: Mapping[str, type] = {"ekd": EKDConfig, "augment": AugmentConfig}
    return tuple(
        name
        for key in own
        for name in ([f"{key}.{field.name}" for field in dataclasses.fields(nested[key])] if key in nested else [key])
    )


def _short(base: str, key: str) -> str:
    return key.removeprefix("ekd.") if base == "ekd" else key
