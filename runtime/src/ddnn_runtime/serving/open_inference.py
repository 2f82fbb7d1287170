"""The Open Inference Protocol, version 2, beside our own paths: clients of KServe and Triton work as they are.

The server's own name is a model whose net the policy chooses; each net is a model by its name as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import version
from time import monotonic
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ddnn_runtime.errors import DDNNError, near
from ddnn_runtime.manifest import INPUT
from ddnn_runtime.serving.answer import Answer
from ddnn_runtime.serving.batcher import Batcher
from ddnn_runtime.serving.connected import while_connected
from ddnn_runtime.serving.predictions import noted, probabilities
from ddnn_runtime.serving.refusals import Refusal
from ddnn_runtime.serving.replies import reply
from ddnn_runtime.serving.service import Service
from ddnn_runtime.serving.tensors import OUTPUTS, Inference, read_inference, written
from ddnn_runtime.serving.wishes import wish_of

VERSION = "1"
"""Of each model: there is one export at a time."""


class OpenInference:
    """Answers requests of the protocol.

    Args:
        service: what answers.
    """

    def __init__(self, service: Service) -> None:
        self._service = service

    @property
    def routes(self) -> list[Route]:
        """The paths of the protocol."""
        models = ("/v2/models/{model}", "/v2/models/{model}/versions/{version}")
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            *(Route(model, self.model) for model in models),
            *(Route(f"{model}/ready", self.model_ready) for model in models),
            *(Route(f"{model}/infer", self.infer, methods=["POST"]) for model in models),
        ]

    async def server(self, request: Request) -> Response:
        """What the server is."""
        return reply({"name": "ddnn", "version": version("ddnn-runtime"), "extensions": ["binary_tensor_data"]})

    async def live(self, request: Request) -> Response:
        """The process lives."""
        return reply({"live": True})

    async def ready(self, request: Request) -> Response:
        """A real image has been answered, and more would be."""
        self._service.batcher()
        return reply({"ready": True})

    async def model(self, request: Request) -> Response:
        """What goes into a model, and what comes out."""
        name, batcher = self._model(request)
        manifest = batcher.runtime.manifest
        shapes = {"logits": [-1, manifest.num_classes]}
        return reply(
            {
                "name": name,
                "versions": [VERSION],
                "platform": "ddnn_onnxruntime",
                "inputs": [{"name": INPUT, "datatype": "FP32", "shape": [-1, *manifest.input_shape]}],
                "outputs": [
                    {"name": output, "datatype": kind, "shape": shapes.get(output, [-1])}
                    for output, kind in OUTPUTS.items()
                ],
            }
        )

    async def model_ready(self, request: Request) -> Response:
        """All models are ready when the server is."""
        name, _ = self._model(request)
        return reply({"name": name, "ready": True})

    async def infer(self, request: Request) -> Response:
        """Images as tensors."""
        service, config = self._service, self._service.config
        name, _ = self._model(request)
        with service.room.share() as take:
            body = await service.body(request, take)
            arrived = monotonic()
            async with while_connected(request):
                with service.batcher().used() as batcher:
                    header = request.headers.get("inference-header-content-length")
                    inference, images = await service.in_thread(read_inference, body, header)
                    wish = wish_of(_wishes(inference, name, batcher))
                    wanted = inference.wanted
                    if inference.images > config.max_images:
                        raise Refusal(413, f"a request has at most {config.max_images} images (max_images)")
                    asked = wish.request(arrived, inference.images, config.deadline_ms)
                    with batcher.expecting(asked):
                        images = await service.in_thread(batcher.runtime.checked, images)
                    answer = await batcher.answer(images, asked)
        said = {key: value for key, value in noted(request, answer, wish).items() if value is not None}
        called = {} if inference.id is None else {"id": inference.id}
        head = {"model_name": name, "model_version": VERSION, **called, "parameters": said}
        content, headers = written(head, _outputs(answer, wanted), wanted)
        return Response(content, headers=headers)

    def _model(self, request: Request) -> tuple[str, Batcher]:
        """The name of the model that a path names; there is one."""
        batcher, name = self._service.batcher(), request.path_params["model"]
        names = (self._service.name, *batcher.table.names)
        if name not in names:
            raise Refusal(404, f"there is no model {name[:100]!r}; {near(name[:100], names)}")
        if request.path_params.get("version", VERSION) != VERSION:
            raise Refusal(404, f"the models have one version, {VERSION}: reload takes up another export")
        return name, batcher


def _wishes(inference: Inference, model: str, batcher: Batcher) -> dict[str, Any]:
    wishes = inference.wishes
    if "top" in wishes:
        raise DDNNError("there is no parameter top: ask for the output class, or for the logits")
    if model not in batcher.table.names:
        return wishes
    if wishes.get("subnet", model) != model or wishes.get("cascade"):
        raise DDNNError(f"the model {model} is one net; ask the model that has the server's name for others")
    return {**wishes, "subnet": model}


def _outputs(answer: Answer, wanted: Iterable[str]) -> dict[str, np.ndarray]:
    outputs = {
        "logits": answer.logits,
        "class": answer.logits.argmax(axis=1),
        "probability": probabilities(answer.logits).max(axis=1),
    }
    return {name: outputs[name] for name in wanted}
