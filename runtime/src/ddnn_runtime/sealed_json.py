"""JSON documents that carry their own checksum, so that a wrong bit in a name or a number does not go unnoticed."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

KEY = "checksum"


def sealed(document: Mapping[str, Any]) -> str:
    """The text of a document, with the SHA-256 of its content at the end."""
    plain = json.loads(json.dumps(document))
    return json.dumps({**plain, KEY: _digest(plain)}, indent=2) + "\n"


def unsealed(text: str) -> dict[str, Any]:
    """What `sealed` wrote; a document without a checksum, as older versions wrote them, is taken as it is.

    Raises:
        ValueError: if it is no JSON object, or its checksum differs.

    >>> unsealed(sealed({"depth": [1, 2]}))
    {'depth': [1, 2]}
    >>> unsealed(sealed({"depth": [1, 2]}).replace("1", "3", 1))
    Traceback (most recent call last):
    ...
    ValueError: its checksum differs: it was edited or damaged
    """
    document = parse_json(text)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")
    given = document.pop(KEY, None)
    if given is not None and given != _digest(document):
        raise ValueError("its checksum differs: it was edited or damaged")
    return document


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, which may come from anybody.

    Raises:
        ValueError: if it is no JSON, or is nested deeper than Python reads.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _digest(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
