"""The last few results of a computation that is asked for again and again with few different arguments."""

from collections.abc import Callable
from typing import Generic, TypeVar

import torch

Key = TypeVar("Key")
Made = TypeVar("Made")

KEPT = 32


class Recent(Generic[Key, Made]):
    """Keeps what was made for the keys that were last asked for, at most `KEPT` of them."""

    def __init__(self) -> None:
        self._made: dict[Key, Made] = {}

    def get(self, key: Key, make: Callable[[], Made]) -> Made:
        """What was made for this key, made now if it is not kept.

        A compiler that traces this would compile anew whenever what is kept has changed, so there nothing is looked
        up.
        """
        if torch.compiler.is_compiling():
            return make()
        made = self._made.pop(key) if key in self._made else make()
        self._made[key] = made
        while len(self._made) > KEPT:
            del self._made[next(iter(self._made))]
        return made
