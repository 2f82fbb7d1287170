"""A value is what its type says, or one sentence says which part of it is not, what it may be and what it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given, settings
from msgspec import Meta

from ddnn.errors import DDNNError
from ddnn_runtime.documents import Count, Finite, Fraction, Name, Natural, Positive, Text
from ddnn_runtime.schema import LARGEST, described, misfit, plain, typed, unknown_keys
from ddnn_runtime.untrusted import UnfitValueError
from tests.faults.contents import HOSTILE

Shares = list[Annotated[float, Meta(ge=0, le=1)]]
Percent = Annotated[float, Meta(gt=0, le=1, extra={"percent": True})]
Many = list[str] | dict[str, list[int]] | str


@dataclass(frozen=True)
class Net:
    depth: Annotated[tuple[Natural, ...], Meta(min_length=1, max_length=3)]
    size: tuple[Count, Count] = (1, 1)
    accuracy: Fraction | None = None

    def __post_init__(self) -> None:
        if sum(self.depth) > 10:
            raise DDNNError("a net has at most 10 blocks")


@dataclass(frozen=True)
class Document:
    title: Text
    nets: Mapping[Name, Net]
    kind: Literal["a", "b"] = "a"
    figures: Sequence[Finite] = ()
    time: Positive | None = None


GOOD: dict[str, Any] = {"title": "x", "nets": {"small": {"depth": [1, 2]}}}
NAN, INF = float("nan"), float("inf")


def test_what_fits_comes_as_its_type() -> None:
    assert typed(GOOD, Document) == Document("x", {"small": Net((1, 2))})
    assert typed({**GOOD, "time": 2, "figures": [1, 2.5], "kind": "b"}, Document).figures == [1.0, 2.5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": 3}, "title must be text, not 3"),
        ({"title": "x" * 1001}, "title must be a text of 0 to 1000 characters, not 'xxxxx"),
        ({"kind": "c"}, "kind must be a or b, not 'c'"),
        ({"kind": []}, "kind must be a or b, not a list of 0"),
        ({"figures": [0, NAN]}, "figures[1] must be a finite number, not nan"),
        ({"figures": [10**400]}, "figures[0] must be "),
        ({"figures": [True]}, "figures[0] must be a number, not True"),
        ({"figures": "1"}, "figures must be a list of numbers, not '1'"),
        ({"time": 0}, "time must be above 0 and finite, not 0"),
        ({"time": INF}, "time must be above 0 and finite, not inf"),
        ({"time": NAN}, "time must be above 0 and finite, not nan"),
        ({"nets": None}, "nets must be a mapping to mappings, not None"),
        ({"nets": {"a/b": {"depth": [1]}}}, "a key of nets must be a name of letters, digits, - and _, not 'a/b'"),
        ({"nets": {"a\n": {"depth": [1]}}}, "a key of nets must be a name"),
        ({"nets": {"a": {}}}, "nets.a lacks depth"),
        ({"nets": {"a": {"depth": []}}}, "nets.a.depth must be a list of 1 to 3 values, not a list of 0"),
        ({"nets": {"a": {"depth": [1, -1]}}}, "nets.a.depth[1] must be a whole number from 0 to"),
        ({"nets": {"a": {"depth": [10**30]}}}, "nets.a.depth[0] must be a whole number from 0 to"),
        ({"nets": {"a": {"depth": [1.0]}}}, "nets.a.depth[0] must be an integer, not 1.0"),
        ({"nets": {"a": {"depth": [9, 9]}}}, "a net has at most 10 blocks"),
        ({"nets": {"a": {"depth": [1], "size": [1]}}}, "nets.a.size must be a list of 2 values, not a list of 1"),
        ({"nets": {"a": {"depth": [1], "size": [1, 0]}}}, "nets.a.size[1] must be a whole number from 1 to"),
        ({"nets": {"a": {"depth": [1], "accuracy": 90}}}, "nets.a.accuracy must be in [0, 1], not 90"),
        ({"nets": {"a": {"depth": [1], "x": 1}}}, "it has 'nets.a.x', which this version of ddnn does not know"),
        ({"x": 1}, "it has 'x', which this version of ddnn does not know"),
    ],
)  # fmt: skip
def test_the_part_to_blame_is_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UnfitValueError) as told:
        typed({**GOOD, **change}, Document)
    assert str(told.value).startswith(message)


def test_unknown_keys_are_refused_ignored_or_refused_for_some() -> None:
    more = {**GOOD, "x": 1, "nets": {"small": {"depth": [1, 2], "y": 2}}}
    assert unknown_keys(Document, more) == ["x", "nets.small.y"]
    assert unknown_keys(Document, more, (Net,)) == ["nets.small.y"]
    assert typed(more, Document, closed=False) == typed(GOOD, Document)
    assert typed({**GOOD, "x": 1}, Document, closed=(Net,)) == typed(GOOD, Document)
    with pytest.raises(UnfitValueError, match=r"it has 'nets\.small\.y'"):
        typed(more, Document, closed=(Net,))


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_anything_fits_or_is_one_short_sentence(first: Any, second: Any, third: Any) -> None:
    for values in (first, {**GOOD, "nets": first}, {"title": first, "nets": {"a": {"depth": second, "size": third}}}):
        try:
            typed(values, Document)
        except UnfitValueError as error:
            message = str(error)
        else:
            continue
        assert len(message) < 300
        assert "\n" not in message


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        (Path("x"), str, None),
        ({"a": Path("x")}, dict[str, str], None),
        ((1, 2), list[int], None),
        ({1, 2}, list[int], "it must be a list of integers, not {1, 2}"),
        (date(2020, 1, 1), str, "it must be text, not datetime.date(2020, 1, 1)"),
        (object, bool, "it must be true or false, not <class 'object'>"),
        (["a", 1], Many, "it[1] must be text, not 1"),
        ({"a": [1, "x"]}, Many, "it.a[1] must be an integer, not 'x'"),
        (3, Many, "it must be a list of texts, a mapping to lists of integers or text, not 3"),
        ((0.5, 2), Shares, "it[1] must be in [0, 1], not 2"),
        (-1, Annotated[int, Meta(ge=0)] | None, "it must be 0 or more, not -1"),
        (0, Annotated[float, Meta(gt=0, le=LARGEST)] | None, "it must be above 0 and finite, not 0"),
        (2, Annotated[float, Meta(ge=0, lt=1)] | Literal["fit"], "it must be in [0, 1) or fit, not 2"),
        ("x", Annotated[float, Meta(ge=0)] | Literal["fit"], "it must be a number or fit, not 'x'"),
        (90, Percent, "it must be in (0, 1], not 90; for 90 % give 0.9"),
        (900, Percent, "it must be in (0, 1], not 900"),
        (0, Annotated[int, Meta(ge=1, extra={"hint": "leave it out"})], "it must be at least 1, not 0; leave it out"),
        (NAN, Annotated[float, Meta(ge=0)], "it must be 0 or more, not nan"),
        (True, Literal[1, 2], "it must be 1 or 2, not True"),
        (1.0, Literal[1, 2], "it must be 1 or 2, not 1.0"),
    ],
)  # fmt: skip
def test_values_from_python(value: Any, hint: Any, message: str | None) -> None:
    assert misfit(value, hint, "it") == message


def test_limits_are_left_out_of_plain_types() -> None:
    hint = dict[Annotated[str, Meta(min_length=1)], tuple[Natural, ...]] | Annotated[int, Meta(ge=1)] | None
    assert plain(hint) == dict[str, tuple[int, ...]] | int | None
    assert described(hint) == "a mapping to lists of integers or an integer"
