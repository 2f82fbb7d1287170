"""What a value may be is said by its type; here is the one place that compares the two, and says what does not fit.

A type is an annotation, with limits from msgspec: `Annotated[int, Meta(ge=1)]`. msgspec does the comparing. What it
says of a value that does not fit is about types of Python, and has no names for the entries of a mapping. So that part
of the value is looked for which is to blame, and the message has one form:

    WHERE must be ALLOWED, not VALUE; HINT

ALLOWED comes from the limits, or is the `description` of a `Meta`; HINT is `extra={"hint": ...}`, if it has one.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, reduce
from operator import or_
from os import PathLike, fspath
from sys import float_info
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from msgspec import Meta, ValidationError, convert

from ddnn_runtime.untrusted import UnfitValueError, shown

Part = tuple[str, Any, Any]
"""Where a part of a value is, what it is, and the type that it should be of."""

LARGEST = float_info.max
"""As a limit of a number: it may not be infinite."""
_NAMES = {int: ("an integer", "integers"), float: ("a number", "numbers"), str: ("text", "texts")}  # one, and many
_LISTS, _MAPPINGS = (list, tuple, Sequence), (dict, Mapping)


def typed(values: Any, kind: Any, where: str = "", *, closed: bool | tuple[type, ...] = True) -> Any:
    """A value of that type from what JSON holds, whoever wrote it.

    Args:
        values: lists, mappings, texts and numbers.
        kind: a dataclass, whose own checks are made too, or any other annotation.
        where: what the value is called.
        closed: for which dataclasses keys without a field are refused, rather than ignored: all, none, or these.

    Raises:
        UnfitValueError: it does not fit; the message names the part to blame.

    >>> typed({"resnet8": [1, 1]}, dict[str, tuple[int, ...]])
    {'resnet8': (1, 1)}
    >>> typed({"resnet8": [1, -1]}, dict[str, list[Annotated[int, Meta(ge=0)]]], "depths")
    Traceback (most recent call last):
    ...
    ddnn_runtime.untrusted.UnfitValueError: depths.resnet8[1] must be 0 or more, not -1
    """
    if closed and (unknown := unknown_keys(kind, values, () if closed is True else closed)):
        raise UnfitValueError(f"{where or 'it'} has {shown(unknown[0])}, which this version of ddnn does not know")
    try:
        return convert(values, kind)
    except (ValidationError, UnicodeEncodeError):  # the latter for texts that UTF-8 cannot hold
        raise UnfitValueError(_blame((where, values, kind))) from None


def misfit(value: Any, hint: Any, where: str) -> str | None:
    """The sentence about a value from Python that is not what its annotation says; None if it is.

    An integer is a number too, a tuple a list, and a path a text.

    >>> misfit((0.5, 2), list[Annotated[float, Meta(ge=0, le=1)]] | None, "shares")
    'shares[1] must be in [0, 1], not 2'
    """
    value = _simple(value)
    return None if _fits(value, hint) else _blame((where, value, hint))


def unknown_keys(hint: Any, value: Any, of: tuple[type, ...] = ()) -> list[str]:
    """The keys in a value that the dataclasses of its type, or only these, have no field for, such as `ekd.gamma`."""
    branch = _branch(hint, value)
    own = is_dataclass(branch) and isinstance(value, Mapping) and branch in (of or (branch,))
    found = [str(key) for key in value if key not in hints_of(branch)] if own else []  # type: ignore[arg-type]
    for where, part, inner in _parts(("", value, branch)):
        found += [f"{where}.{key}".lstrip(".") for key in unknown_keys(inner, part, of)]
    return found


@cache
def hints_of(kind: type) -> dict[str, Any]:
    """The annotations of a class with their limits, by field."""
    return get_type_hints(kind, include_extras=True)


def plain(hint: Any) -> Any:
    """An annotation without limits.

    >>> plain(dict[str, Annotated[int, Meta(ge=1)]])
    dict[str, int]
    """
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return plain(parts[0])
    if origin in (None, Literal) or not parts:
        return hint
    inner = [plain(part) for part in parts]
    return reduce(or_, inner) if origin in (Union, UnionType) else origin[*inner]


def described(hint: Any) -> str:
    """What a value with that annotation may be, in words. None goes without saying: it is said by leaving the key out.

    >>> described(bool | Literal["fast"]), described(int | None), described(dict[str, list[int]] | str)
    ('true, false or fast', 'an integer', 'a mapping to lists of integers or text')
    """
    *most, last = _words(plain(hint))
    return f"{', '.join(most)} or {last}" if most else last


def _words(hint: Any, many: bool = False) -> list[str]:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return [name for part in parts if part is not NoneType for name in _words(part, many)]
    if origin is Literal:
        return [str(choice) for choice in parts]
    if hint is bool:
        return ["true", "false"]
    if origin in _LISTS:
        return [f"{'lists' if many else 'a list'} of {' or '.join(_words(parts[0], many=True))}"]
    if origin in _MAPPINGS and parts[1] is not Any:
        return [f"{'mappings' if many else 'a mapping'} to {' or '.join(_words(parts[1], many=True))}"]
    return [_NAMES.get(hint, ("a mapping", "mappings"))[many]]


def _fits(value: Any, hint: Any) -> bool:
    try:
        convert(value, hint)
    except (ValidationError, UnicodeEncodeError):
        return False
    return True


def _simple(value: Any) -> Any:
    """A value from Python as JSON would hold it; what JSON cannot hold becomes something that fits no type."""
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, float):
        return float(value)  # of a NumPy number
    if isinstance(value, Mapping):
        return {key: _simple(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_simple(item) for item in value]
    return value if value is None or isinstance(value, int | str) or is_dataclass(value) else _Foreign(value)


class _Foreign:
    """Something that no type of a configuration allows; it looks like what it is."""

    def __init__(self, value: Any) -> None:
        self._value = value

    def __repr__(self) -> str:
        return repr(self._value)


def _blame(part: Part) -> str:
    """The sentence about the innermost part that does not fit its type."""
    where, value, hint = part
    branch = _branch(hint, value)
    if is_dataclass(branch) and isinstance(value, Mapping) and (lacking := _lacking(branch, value)):
        return f"{where or 'it'} lacks {lacking[0]}"
    for inner in _parts((where, value, branch)):
        if not _fits(*inner[1:]):
            return _blame(inner)
    if is_dataclass(branch) and isinstance(value, Mapping):
        return _own_check(branch, value)
    allowed, hint = _allowed(hint, value)
    return f"{where or 'it'} must be {allowed}, not {shown(value)}{hint}"


def _own_check(kind: Any, value: Any) -> str:
    """What a dataclass itself says of values that fit one by one, and not together."""
    try:
        convert(value, kind)
    except ValidationError as error:
        return str(error.__cause__ or error)
    raise AssertionError(f"{kind} takes {value}")


def _lacking(kind: Any, value: Mapping[Any, Any]) -> list[str]:
    needed = (item for item in fields(kind) if item.default is MISSING and item.default_factory is MISSING)
    return [item.name for item in needed if item.name not in value]


def _branch(hint: Any, value: Any) -> Any:
    """The one alternative of a union whose parts can be looked at for the value, without limits on the whole; the hint
    itself if there are none."""
    if get_origin(hint) is Annotated:
        return _branch(get_args(hint)[0], value)
    if get_origin(hint) not in (Union, UnionType):
        return hint
    wanted = _LISTS if isinstance(value, list | tuple) else _MAPPINGS if isinstance(value, Mapping) else ()
    inner = [part for part in _alternatives(hint) if get_origin(plain(part)) in wanted or is_dataclass(part)]
    return _branch(inner[0], value) if len(inner) == 1 else hint


def _parts(part: Part) -> Iterator[Part]:
    """What is in a list, a mapping or a dataclass, if the value is one as its type says."""
    where, value, hint = part
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint) and isinstance(value, Mapping):
        for key, kind in hints_of(hint).items():  # pyright: ignore[reportArgumentType]
            if key in value:
                yield f"{where}.{key}".lstrip("."), value[key], kind
    elif origin in _MAPPINGS and isinstance(value, Mapping):
        for key, item in value.items():
            yield f"a key of {where}", key, inner[0]
            yield f"{where}.{key if isinstance(key, int) else str(key)[:60]}", item, inner[1]
    elif origin in _LISTS and isinstance(value, list | tuple):
        kinds = inner if origin is tuple and inner[-1] is not Ellipsis else [inner[0]] * len(value)
        for index, (item, kind) in enumerate(zip(value, kinds, strict=False)):
            yield f"{where}[{index}]", item, kind


def _alternatives(hint: Any) -> list[Any]:
    return [part for part in get_args(hint) if part is not NoneType]


def _allowed(hint: Any, value: Any) -> tuple[str, str]:
    """What may stand there in words, and the end of the sentence: limits where a value is of the right kind, else the
    kinds."""
    alternatives = _alternatives(hint) if get_origin(hint) in (Union, UnionType) else [hint]
    near = [part for part in alternatives if get_origin(part) is Annotated and _fits(value, plain(part))]
    if not near:
        fixed = next((len(get_args(part)) for part in alternatives if _is_fixed(part, value)), None)
        return described(hint) if fixed is None else f"a list of {fixed} values", ""
    limits = get_args(near[0])[1:]
    words = [" and ".join(_limit(limit, plain(near[0])) for limit in limits)]
    words += [str(choice) for part in alternatives if get_origin(part) is Literal for choice in get_args(part)]
    return " or ".join(words), next((_hint(limit, value) for limit in limits if limit.extra), "")


def _is_fixed(hint: Any, value: Any) -> bool:
    return get_origin(hint) is tuple and get_args(hint)[-1] is not Ellipsis and isinstance(value, list)


def _hint(limit: Meta, value: Any) -> str:
    """What to do; for a share that was given in percent, the share."""
    extra = limit.extra or {}
    if extra.get("percent") and 1 <= value <= 100:
        return f"; for {value:g} % give {value / 100:g}"
    return f"; {extra['hint']}" if "hint" in extra else ""


def _limit(limit: Meta, kind: Any) -> str:
    """A limit in words, such as `at least 1` or `in [0, 1)`."""
    if limit.description is not None:
        return limit.description
    if limit.min_length is not None or limit.max_length is not None:
        least, most = limit.min_length or 0, limit.max_length
        many = f"{least}" if least == most else f"at least {least}" if most is None else f"{least} to {most}"
        if kind is str:
            return f"a text of {many} characters"
        return f"a {'mapping' if get_origin(kind) in _MAPPINGS else 'list'} of {many} values"
    least = limit.gt if limit.ge is None else limit.ge
    most = limit.lt if limit.le is None else limit.le
    if most in (None, LARGEST):
        words = f"above {least}" if limit.ge is None else "0 or more" if least == 0 else f"at least {least}"
        return words if most is None else f"{words} and finite"
    if kind is int and limit.ge is not None and limit.le is not None:
        return f"a whole number from {least} to {most}"
    return f"in {'(' if limit.ge is None else '['}{least}, {most}{')' if limit.le is None else ']'}"
