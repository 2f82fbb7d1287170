"""What every request passes before and after its route: the key, the counters, the access log."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from time import monotonic
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ddnn_runtime.image_files import printable
from ddnn_runtime.serving.keys import ASK, HEALTH, Keys
from ddnn_runtime.serving.log import AccessLog
from ddnn_runtime.serving.refusals import Refusal
from ddnn_runtime.serving.replies import refused
from ddnn_runtime.serving.tally import Tally

_ID = re.compile(rb"[\x21-\x7e]{1,200}")
_HUNG_UP = 499


class Front:
    """An ASGI application around another one.

    Args:
        app: has the routes.
        keys: who may ask.
        tally: counts.
        log: gets a line a request; None writes none.
    """

    def __init__(self, app: ASGIApp, keys: Keys, tally: Tally, log: AccessLog | None) -> None:
        self._app, self._keys, self._tally, self._log = app, keys, tally, log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, whatever becomes of it."""
        assert scope["type"] == "http"
        began, code, size = monotonic(), _HUNG_UP, 0
        scope["said"] = {}  # what the route has to add to the line of the log
        extra = [(b"x-content-type-options", b"nosniff"), *_request_id(scope)]

        async def told(message: Message) -> None:
            nonlocal code, size
            if message["type"] == "http.response.start":
                code = message["status"]
                message["headers"] = [*message["headers"], *extra]
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            if self._keys.admits(scope["path"], scope["headers"]):
                await self._app(scope, receive, told)
            else:
                refusal = Refusal(401, "a key is needed: send Authorization: Bearer KEY, or X-API-Key: KEY")
                await refused(refusal, ASK)(scope, receive, told)
        except asyncio.CancelledError:  # the time to drain is over
            if size == 0 and code == _HUNG_UP:
                await refused(Refusal(503, "this server ends; ask another one", 1))(scope, receive, told)
        finally:
            self._tally.responded(code, health=scope["path"] in HEALTH)
            if self._log is not None:
                self._log.write(_line(scope, code, size, monotonic() - began))


def _request_id(scope: Scope) -> list[tuple[bytes, bytes]]:
    """What a client calls its request, to be sent back."""
    given = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return [(b"x-request-id", value) for value in given[:1] if _ID.fullmatch(value)]


def _line(scope: Scope, code: int, size: int, seconds: float) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    who = scope["client"][0] if scope.get("client") else "-"
    path = printable(scope.get("raw_path", scope["path"].encode()).decode("latin-1"))
    said: dict[str, Any] = {name.decode(): value.decode() for name, value in _request_id(scope)} | scope["said"]
    more = "".join(f" {key}={value}" for key, value in said.items())
    return f'{now} {who} "{scope["method"]} {path}" {code} {size} {1e3 * seconds:.1f}ms{more}'
