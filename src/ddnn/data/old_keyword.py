"""The name that a process's share of the images had before: `shard` is now a file of images, and nothing else."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def with_old_keyword(method: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """A method that takes its `share` under the older name `shard` too, which is that of a file of images."""

    @wraps(method)
    def renamed(*given: _Given.args, **named: _Given.kwargs) -> _Result:
        if "shard" in named:
            named["share"] = named.pop("shard")
        return method(*given, **named)

    return renamed
