"""The routes of the server: each reads a request, asks the service, and writes JSON."""

from __future__ import annotations

import asyncio
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from time import monotonic
from typing import Any

import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.answer import Answer, CallError
from ddnn_runtime.serving.bodies import Room, read_question
from ddnn_runtime.serving.refusals import HungUpError, refusal_of
from ddnn_runtime.serving.service import Service
from ddnn_runtime.serving.wishes import Wish, from_fields, from_headers, wish_of

_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
}


def application(service: Service) -> Starlette:
    """The server's routes, as an ASGI application."""
    routes = Routes(service)
    return Starlette(
        routes=[
            Route("/", routes.page),
            Route("/{name}.{ending:str}", routes.page),
            Route("/predict", routes.predict, methods=["POST"]),
            Route("/nets", routes.nets),
            Route("/status", routes.status),
            Route("/healthz", routes.health),
            Route("/readyz", routes.ready),
        ],
        exception_handlers={
            DDNNError: refused,
            CallError: refused,
            HTTPException: _unknown,
            ClientDisconnect: _gone,
            HungUpError: _gone,
        },
    )


class Routes:
    """Answers requests.

    Args:
        service: what answers.
    """

    def __init__(self, service: Service) -> None:
        self._service, self._config = service, service.config
        self._room = Room(16 * service.config.max_bytes)

    async def predict(self, request: Request) -> Response:
        """One or several images, as files."""
        service, config = self._service, self._config
        service.batcher()  # there is one
        with self._room.share() as take:
            question = await read_question(request, config.max_bytes, config.max_images, take)
            arrived = monotonic()
            wish = wish_of({**from_headers(request.headers), **from_fields(question.fields)})
            asked = wish.request(arrived, len(question.images), config.deadline_ms)
            async with while_connected(request):
                with service.batcher().used() as batcher:
                    with batcher.expecting(asked):
                        images = await service.prepared(batcher.runtime, question.images)
                    answer = await batcher.answer(images, asked)
        return reply(_predictions(answer, wish, batcher.runtime.class_names))

    async def nets(self, request: Request) -> Response:
        """What there is to ask for."""
        batcher = self._service.batcher()
        manifest, table = batcher.runtime.manifest, batcher.table
        return reply(
            {
                "name": self._service.name,
                "input_shape": manifest.input_shape,
                "classes": manifest.num_classes,
                "class_names": batcher.runtime.class_names,
                "batches": table.batches,
                "cascade": table.cascade is not None,
                "policy": self._config.policy,
                "deadline_ms": self._config.deadline_ms,
                "nets": [
                    {
                        "name": name,
                        "depth": net.depth,
                        "accuracy": net.accuracy,
                        "parameters": net.parameters,
                        "macs": net.macs,
                        "ms": [1e3 * seconds for seconds in table.seconds[name]],
                    }
                    for name, net in manifest.nets.items()
                ],
            }
        )

    async def status(self, request: Request) -> Response:
        """What it has done, and has to do."""
        return reply({"queue": self._service.batcher().waiting, **self._service.tally.to_json()})

    async def health(self, request: Request) -> Response:
        """The process lives."""
        return reply({"live": True})

    async def ready(self, request: Request) -> Response:
        """A real image has been answered, and more would be."""
        self._service.batcher()
        return reply({"ready": True})

    async def page(self, request: Request) -> Response:
        """The page for people, or a file of it."""
        given = request.path_params
        name = f"{given['name']}.{given['ending']}" if given else "index.html"
        place = files("ddnn_runtime.serving") / "page"
        if not place.is_dir() or name not in {file.name for file in place.iterdir()}:
            raise HTTPException(404)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        return Response((place / name).read_bytes(), headers=_PAGE_HEADERS, media_type=kind)


def reply(value: Any, code: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON."""
    return Response(msgspec.json.encode(value), code, headers, "application/json")


async def refused(request: Request, error: Exception) -> Response:
    """Why there is no answer, in one sentence."""
    refusal = refusal_of(error)
    headers = {} if refusal.retry_after is None else {"Retry-After": str(refusal.retry_after)}
    return reply({"error": str(refusal)}, refusal.code, headers)


async def _unknown(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    allowed = (error.headers or {}).get("Allow")
    said = (
        f"{request.method} is not for {request.url.path}; use {allowed}"
        if allowed
        else f"there is no {request.url.path}"
    )
    return reply({"error": f"{said}; /openapi.json says what there is"}, error.status_code, dict(error.headers or {}))


async def _gone(request: Request, error: Exception) -> Response:
    """For the log alone: nobody reads it."""
    return reply({"error": "the client has hung up"}, 499)


@asynccontextmanager
async def while_connected(request: Request) -> AsyncIterator[None]:
    """Stop what is done within this as soon as the client hangs up.

    Raises:
        HungUpError: it has.
    """
    work = asyncio.current_task()
    assert work is not None
    watch = asyncio.create_task(_hung_up(request))
    watch.add_done_callback(lambda watch: None if watch.cancelled() else work.cancel())
    try:
        yield
    except asyncio.CancelledError:
        if not watch.done() or watch.cancelled() or work.uncancel():
            raise
        raise HungUpError from None
    finally:
        watch.cancel()


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _predictions(answer: Answer, wish: Wish, names: tuple[str, ...] | None) -> dict[str, Any]:
    shifted = np.exp(answer.logits.astype(np.float64) - answer.logits.max(axis=1, keepdims=True))
    probabilities = shifted / shifted.sum(axis=1, keepdims=True)
    best = (-answer.logits).argsort(axis=1, kind="stable")[:, : wish.top]
    tops = [
        [{"class": k, "label": names[k] if names else None, "probability": row[k]} for k in order]
        for row, order in zip(probabilities.tolist(), best.tolist(), strict=True)
    ]
    return {
        "id": answer.number,
        "subnet": "cascade" if wish.cascade else answer.subnets[0],
        "waited_ms": 1e3 * answer.waited,
        "ran_ms": 1e3 * answer.ran,
        "batch": answer.batch,
        "slack_ms": None if np.isinf(answer.slack) else 1e3 * answer.slack,
        "predictions": [
            {**top[0], "subnet": subnet, "top": top} for top, subnet in zip(tops, answer.subnets, strict=True)
        ],
    }
