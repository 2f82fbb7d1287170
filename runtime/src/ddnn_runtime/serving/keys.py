"""Who may ask: keys, compared in constant time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Iterator
from hmac import compare_digest
from pathlib import Path

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.settings import ServeConfig

HEALTH = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""What anybody may ask, since those who watch over servers have no key."""
ASK = {"WWW-Authenticate": 'Basic realm="ddnn", charset="UTF-8"'}
"""Makes a browser ask for the key, and send it along from then on."""


class Keys:
    """The keys of a server; without any, everybody may ask.

    Args:
        config: has one key, or names the file that has some.

    Raises:
        DDNNError: the file cannot be read, or has none.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self._keys: tuple[bytes, ...] = ()
        self.read()

    def __bool__(self) -> bool:
        """Whether a key is needed."""
        return bool(self._keys)

    def read(self) -> None:
        """Read the file again; if that fails, the keys of before stay."""
        if self._config.api_key is not None:
            self._keys = (self._config.api_key.encode(),)
        elif self._config.api_key_file is not None:
            self._keys = tuple(_keys_in(Path(self._config.api_key_file)))

    def admits(self, path: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        """Whether a request with these headers may ask for a path."""
        if not self._keys or path in HEALTH:
            return True
        offered = [offer for name, value in headers for offer in _offered(name, value)]
        return sum(compare_digest(offer, key) for offer in offered for key in self._keys) > 0  # none is left out


def _keys_in(path: Path) -> list[bytes]:
    try:
        found = [line.strip() for line in path.read_bytes().splitlines() if line.strip()]
    except OSError as error:
        raise DDNNError(f"the keys in {path} cannot be read: {error.strerror}") from None
    if not found:
        raise DDNNError(f"{path} has no key: write one a line, or serve without api_key_file")
    return found


def _offered(name: bytes, value: bytes) -> Iterator[bytes]:
    if name == b"x-api-key":
        yield value.strip()
    elif name == b"authorization":
        scheme, _, said = value.partition(b" ")
        if scheme.lower() == b"bearer":
            yield said.strip()
        elif scheme.lower() == b"basic":
            try:
                yield base64.b64decode(said.strip(), validate=True).partition(b":")[2]
            except binascii.Error:
                return
