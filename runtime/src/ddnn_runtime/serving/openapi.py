"""What the server can be asked, as an OpenAPI 3.1 document: for people, for programs, and for the tests that hold the
server to it."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from ddnn_runtime.serving.keys import HEALTH
from ddnn_runtime.serving.openapi_schemas import SCHEMAS, WISHES, ref
from ddnn_runtime.serving.service import Service
from ddnn_runtime.serving.wishes import HEADERS

Json = dict[str, Any]

_ERRORS = {
    400: "The wish or the image makes no sense; the sentence says why.",
    401: "A key is needed, or it is another one.",
    404: "There is no such model.",
    408: "The rest of the request did not come.",
    409: "The export is not taken up; the one of before goes on.",
    413: "Too many bytes, images or pixels.",
    429: "Too many requests wait.",
    503: "The deadline cannot be met, or the server starts or ends.",
}
_ASKS_AGAIN = (429, 503)
_BODY_ERRORS = (400, 408, 413, 429, 503)
_METRICS: Json = {"200": {"description": "Metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}}
_KEYS: Json = {
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {"type": "http", "scheme": "basic", "description": "The key is the password; the user may be anybody."},
}


def document(service: Service) -> Json:
    """The document of a server as it is configured."""
    closed = bool(service.keys)
    paths = {**_own_paths(service.config.max_images), **_protocol_paths()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"{service.name}, served by ddnn",
            "version": version("ddnn-runtime"),
            "description": "One neural network, every depth: under load, images are answered by a shallower net.",
        },
        "paths": {path: _guarded(path, operations) if closed else operations for path, operations in paths.items()},
        "components": {"schemas": SCHEMAS, **({"securitySchemes": _KEYS} if closed else {})},
    }


def _guarded(path: str, operations: Json) -> Json:
    """A path that needs a key."""
    if path in HEALTH:
        return operations
    needed = {"security": [{name: []} for name in _KEYS]}
    return {
        method: {**operation, **needed, "responses": {**operation["responses"], **_errors(401)}}
        for method, operation in operations.items()
    }


def _own_paths(most: int) -> Json:
    image = {"type": "string", "format": "binary"}
    form = {
        "type": "object",
        "properties": {"image": {"type": "array", "items": image, "minItems": 1, "maxItems": most}, **WISHES},
        "required": ["image"],
        "additionalProperties": False,
    }
    kinds = ("image/jpeg", "image/png", "application/octet-stream")
    content = {**{kind: {"schema": image} for kind in kinds}, "multipart/form-data": {"schema": form}}
    headers = [{"name": name, "in": "header", "schema": WISHES[key]} for key, name in HEADERS.items()]
    return {
        "/predict": {
            "post": {
                **_operation("predict", "Classes of one or several images, in files", "Answer", *_BODY_ERRORS),
                "parameters": headers,
                "requestBody": {"required": True, "content": content},
            }
        },
        "/nets": _get("nets", "The nets, and what they cost here", "Nets", 503),
        "/status": _get("status", "What was done, and what waits", "Status"),
        "/metrics": {"get": {**_operation("metrics", "The same for Prometheus", "Metrics"), "responses": _METRICS}},
        "/reload": {"post": _operation("reload", "Take up the export that is in the folder now", "Reloaded", 409, 503)},
        "/healthz": _get("health", "Whether the process lives", "Live"),
        "/readyz": _get("ready", "Whether images are answered", "Ready", 503),
        "/openapi.json": _get("openapi", "This document", "Document"),
    }


def _protocol_paths() -> Json:
    """Those of the Open Inference Protocol."""
    paths = {
        "/v2": _get("server", "What the server is", "Server"),
        "/v2/health/live": _get("protocolLive", "Whether the process lives", "Live"),
        "/v2/health/ready": _get("protocolReady", "Whether images are answered", "Ready", 503),
    }
    for name, path in (("model", "/v2/models/{model}"), ("version", "/v2/models/{model}/versions/{version}")):
        parameters = [
            {"name": each, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for each in ("model", "version")
            if f"{{{each}}}" in path
        ]
        infer = {
            **_operation(f"{name}Infer", "Outputs of images, as tensors", "InferenceAnswer", 404, *_BODY_ERRORS),
            "requestBody": {"required": True, "content": {"application/json": {"schema": ref("Inference")}}},
        }
        model = _get(f"{name}Metadata", "What goes into a model and what comes out", "Model", 404, 503)
        ready = _get(f"{name}Ready", "Whether a model answers", "ModelReady", 404, 503)
        for operations in (model, ready, {"post": infer}):
            for operation in operations.values():
                operation["parameters"] = parameters
        paths |= {path: model, f"{path}/ready": ready, f"{path}/infer": {"post": infer}}
    return paths


def _get(name: str, summary: str, schema: str, *errors: int) -> Json:
    return {"get": _operation(name, summary, schema, *errors)}


def _operation(name: str, summary: str, schema: str, *errors: int) -> Json:
    said = {"description": summary, "content": {"application/json": {"schema": ref(schema)}}}
    return {"operationId": name, "summary": summary, "responses": {"200": said, **_errors(*errors)}}


def _errors(*codes: int) -> Json:
    wait = {"Retry-After": {"description": "Seconds.", "required": True, "schema": {"type": "integer", "minimum": 1}}}
    return {
        str(code): {
            "description": _ERRORS[code],
            "content": {"application/json": {"schema": ref("Error")}},
            **({"headers": wait} if code in _ASKS_AGAIN else {}),
        }
        for code in codes
    }
