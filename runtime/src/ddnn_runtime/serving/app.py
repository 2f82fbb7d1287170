"""The routes of the server: each reads a request, asks the service, and writes what comes of it."""

from __future__ import annotations

import mimetypes
from collections.abc import Awaitable, Callable
from importlib.resources import files
from time import monotonic

from prometheus_client import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.answer import CallError
from ddnn_runtime.serving.bodies import read_question
from ddnn_runtime.serving.connected import while_connected
from ddnn_runtime.serving.front import Front
from ddnn_runtime.serving.open_inference import OpenInference
from ddnn_runtime.serving.openapi import document
from ddnn_runtime.serving.predictions import noted, predictions
from ddnn_runtime.serving.refusals import HungUpError
from ddnn_runtime.serving.replies import on_hang_up, on_mistake, on_refusal, on_unknown, reply
from ddnn_runtime.serving.service import Service
from ddnn_runtime.serving.wishes import from_fields, from_headers, wish_of

_PAGE = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
_PAGE_HEADERS = {
    "Content-Security-Policy": f"{_PAGE}base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cache-Control": "no-cache",
    "Referrer-Policy": "no-referrer",
}
"""A page that runs its own script alone, and that no other page frames."""


def application(service: Service) -> ASGIApp:
    """The server's routes, as an ASGI application; `service.start` makes it ready."""
    routes = Routes(service)
    app = Starlette(
        routes=[
            *_page(),
            Route("/predict", routes.predict, methods=["POST"]),
            Route("/nets", routes.nets),
            Route("/status", routes.status),
            Route("/metrics", routes.metrics),
            Route("/reload", routes.reload, methods=["POST"]),
            Route("/healthz", routes.health),
            Route("/readyz", routes.ready),
            Route("/openapi.json", routes.openapi),
            *OpenInference(service).routes,
        ],
        exception_handlers={
            DDNNError: on_refusal,
            CallError: on_refusal,
            HTTPException: on_unknown,
            ClientDisconnect: on_hang_up,
            HungUpError: on_hang_up,
            Exception: on_mistake,
        },
    )
    app.router.redirect_slashes = False
    return Front(app, service.keys, service.tally, service.log)


class Routes:
    """Answers requests.

    Args:
        service: what answers.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    async def predict(self, request: Request) -> Response:
        """One or several images, as files."""
        service, config = self._service, self._service.config
        service.batcher()  # there is one
        with service.room.share() as take:
            question = await read_question(request, config.max_bytes, config.max_images, take)
            arrived = monotonic()
            wish = wish_of({**from_headers(request.headers), **from_fields(question.fields)})
            asked = wish.request(arrived, len(question.images), config.deadline_ms)
            async with while_connected(request):
                with service.batcher().used() as batcher:
                    with batcher.expecting(asked):
                        images = await service.prepared(batcher.runtime, question.images)
                    answer = await batcher.answer(images, asked)
        told = predictions(answer, wish.top, batcher.runtime.class_names)
        return reply({**noted(request, answer, wish), "predictions": told})

    async def nets(self, request: Request) -> Response:
        """What there is to ask for."""
        return reply(self._service.described())

    async def status(self, request: Request) -> Response:
        """What it has done, and has to do."""
        return reply(self._service.tally.to_json())

    async def metrics(self, request: Request) -> Response:
        """The same for Prometheus."""
        return Response(self._service.tally.to_prometheus(), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def reload(self, request: Request) -> Response:
        """Take up the export that is in the folder now."""
        await self._service.reload()
        return reply({"reloaded": True, **self._service.described()})

    async def health(self, request: Request) -> Response:
        """The process lives."""
        return reply({"live": True})

    async def ready(self, request: Request) -> Response:
        """A real image has been answered, and more would be."""
        self._service.batcher()
        return reply({"ready": True})

    async def openapi(self, request: Request) -> Response:
        """What there is, for programs."""
        return reply(document(self._service))


def _page() -> list[Route]:
    """The page for people at /, and the files that it asks for beside."""
    folder = files("ddnn_runtime.serving") / "page"
    found = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()} if folder.is_dir() else {}
    routes = [Route(f"/{name}", _file(name, content)) for name, content in found.items()]
    return [*routes, Route("/", _file("index.html", found["index.html"]))] if found else []


def _file(name: str, content: bytes) -> Callable[[Request], Awaitable[Response]]:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"

    async def file(request: Request) -> Response:
        return Response(content, headers=_PAGE_HEADERS, media_type=kind)

    return file
