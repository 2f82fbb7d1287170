"""What a client asks for beside its images: read alike from headers, from the fields of a form, and from JSON."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Annotated, Any

from msgspec import Meta

from ddnn_runtime.errors import DDNNError, near
from ddnn_runtime.schema import hints_of, typed
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.settings import Milliseconds

_Share = Annotated[float, Meta(ge=0, le=1)]
_Text = Annotated[str, Meta(max_length=1000)]
_Some = Annotated[int, Meta(ge=1, le=1_000_000)]


@dataclass(frozen=True)
class Wish:
    """What a client may ask for.

    Args:
        deadline_ms: milliseconds from the last byte of the request until the answer; None means those of the server.
        subnet: the net that should answer.
        least_accuracy: of the net that answers.
        cascade: whether the calibrated cascade should answer.
        top: how many classes to name, the most probable first.
    """

    deadline_ms: Milliseconds | None = None
    subnet: _Text | None = None
    least_accuracy: _Share = 0.0
    cascade: bool = False
    top: _Some = 1

    def __post_init__(self) -> None:
        if self.cascade and self.subnet is not None:
            raise DDNNError("ask for a sub-net or for the cascade, not for both")

    def request(self, arrived: float, images: int, deadline_ms: float | None) -> Request:
        """As the policy sees it.

        Args:
            arrived: when its last byte did, in seconds of a monotonic clock.
            images: how many it has.
            deadline_ms: of the server.
        """
        given = deadline_ms if self.deadline_ms is None else self.deadline_ms
        deadline = inf if given is None else arrived + given / 1e3
        return Request(0, arrived, deadline, images, self.subnet, self.least_accuracy, self.cascade)


KEYS = tuple(hints_of(Wish))
HEADERS = {key: f"X-{key.title().replace('_', '-')}" for key in KEYS}
"""The header that says the same, such as X-Deadline-Ms."""


def from_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """The values of those headers that are there."""
    return {key: _value(headers[name]) for key, name in HEADERS.items() if name in headers}


def from_fields(fields: Mapping[str, str]) -> dict[str, Any]:
    """The values of the fields of a form."""
    return {key: _value(text) for key, text in fields.items()}


def wish_of(values: Mapping[str, Any]) -> Wish:
    """What values of any origin ask for.

    Raises:
        DDNNError: there is no such wish, or it makes no sense.

    >>> wish_of({"deadline_ms": 20, "subnet": "resnet8"}).deadline_ms
    20.0
    >>> wish_of({"deadline_ms": -1})
    Traceback (most recent call last):
    ...
    ddnn_runtime.untrusted.UnfitValueError: deadline_ms must be in (0, 3600000.0], not -1
    """
    for key in values:
        if key not in KEYS:
            raise DDNNError(f"there is nothing called {key[:60]!r} to ask for; {near(key[:60], KEYS)}")
    return typed(dict(values), Wish)


def _value(text: str) -> Any:
    """The number or the truth value that a text stands for; else the text.

    >>> _value("3"), _value("2.5"), _value("True"), _value("resnet8")
    (3, 2.5, True, 'resnet8')
    """
    text = text.strip()
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
