"""Responses: JSON, and errors as JSON."""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ddnn_runtime.serving.refusals import refusal_of


def reply(value: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON."""
    return Response(msgspec.json.encode(value), code, headers, "application/json")


def refused(error: Exception, headers: Mapping[str, str] | None = None) -> Response:
    """Why there is no answer, in one sentence."""
    refusal = refusal_of(error)
    again = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    return reply({"error": str(refusal)}, refusal.code, {**again, **(headers or {})})


async def on_refusal(request: Request, error: Exception) -> Response:
    """The client, or too many of them, are to blame."""
    return refused(error)


async def on_unknown(request: Request, error: Exception) -> Response:
    """There is no such path, or not by this method."""
    assert isinstance(error, HTTPException)
    path, headers = request.url.path, dict(error.headers or {})
    said = (
        f"{request.method} is not for {path}; use {headers['Allow']}" if "Allow" in headers else f"there is no {path}"
    )
    return reply({"error": f"{said}; /openapi.json says what there is"}, error.status_code, headers)


async def on_hang_up(request: Request, error: Exception) -> Response:
    """For the log alone: nobody reads it."""
    return reply({"error": "the client has hung up"}, 499)


async def on_mistake(request: Request, error: Exception) -> Response:
    """A mistake of ours, which goes to standard error with all that is known of it."""
    return reply({"error": "the server has made a mistake, and has written down what it knows of it"}, 500)
