"""uvicorn's HTTP protocol with two limits that it lacks: the time that a client may take for a header, and its size.

Without them, whoever sends headers without end fills the memory, and whoever sends none keeps a connection for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST_HEADER_BYTES = 65_536
HEADER_SECONDS = 30.0


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._no_body = 0  # bytes that have come since anything of a body did, or a header ended
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there, and should say what it wants."""
        super().connection_made(transport)
        self._wait_for_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._have_header()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some bytes, of which what they are turns out while they are parsed."""
        self._no_body += len(data)
        super().data_received(data)
        if self._no_body > MOST_HEADER_BYTES:
            self.transport.close()

    def on_message_begin(self) -> None:
        """A header begins."""
        super().on_message_begin()
        self._wait_for_header()

    def on_headers_complete(self) -> None:
        """It has ended."""
        self._have_header()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body, which is limited where it is read."""
        self._no_body = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._no_body = 0
        super().on_message_complete()

    def _wait_for_header(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _have_header(self) -> None:
        self._no_body = 0
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
