"""What goes over the wire, as JSON Schema."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def ref(name: str) -> Json:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(required: Json, optional: Json | None = None, *, closed: bool = True) -> Json:
    properties = {**required, **(optional or {})}
    return {
        "type": "object",
        "properties": properties,
        "required": [*required],
        **({"additionalProperties": False} if closed else {}),
    }


def _list(items: Json, **limits: int) -> Json:
    return {"type": "array", "items": items, **limits}


_TEXT: Json = {"type": "string"}
_COUNT: Json = {"type": "integer", "minimum": 0}
_NUMBER: Json = {"type": "number"}
_SHARE: Json = {"type": "number", "minimum": 0, "maximum": 1}
_TRUE: Json = {"const": True}
_NAME: Json = {"type": "string", "minLength": 1, "maxLength": 1000}


def _or_null(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


WISHES: Json = {
    "deadline_ms": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 3.6e6,
        "description": "Milliseconds from the last byte of the request until the answer.",
    },
    "subnet": {**_TEXT, "description": "The net that should answer."},
    "least_accuracy": {**_SHARE, "description": "Of the net that answers, on the test images of its training."},
    "cascade": {"type": "boolean", "description": "Whether the calibrated cascade should answer."},
    "top": {"type": "integer", "minimum": 1, "maximum": 1_000_000, "description": "How many classes to name."},
}

_CLASS: Json = {"class": _COUNT, "label": _or_null(_TEXT), "probability": _SHARE}
_HOW: Json = {
    "id": {"type": "integer", "minimum": 1},
    "subnet": _TEXT,
    "waited_ms": {"type": "number", "minimum": 0},
    "ran_ms": {"type": "number", "minimum": 0},
    "batch": {"type": "integer", "minimum": 1},
}
_NET: Json = _object(
    {
        "name": _TEXT,
        "depth": _list(_COUNT),
        "accuracy": _or_null(_SHARE),
        "parameters": _COUNT,
        "macs": _COUNT,
        "ms": _list(_NUMBER),
    }
)
_NETS: Json = {
    "name": _TEXT,
    "input_shape": _list(_COUNT, minItems=3, maxItems=3),
    "classes": _COUNT,
    "class_names": _or_null(_list(_TEXT)),
    "batches": _list(_COUNT),
    "cascade": {"type": "boolean"},
    "policy": _TEXT,
    "deadline_ms": _or_null(_NUMBER),
    "nets": _list(ref("Net")),
}
_DATA: Json = {"anyOf": [_list(_NUMBER), _list({})], "description": "Numbers in one list, or in lists of one length."}
_TENSOR: Json = _object({"name": _TEXT, "datatype": _TEXT, "shape": _list({"type": "integer"})})

SCHEMAS: Json = {
    "Error": _object({"error": {**_TEXT, "minLength": 1}}),
    "Class": _object(_CLASS),
    "Prediction": _object({**_CLASS, "subnet": _TEXT, "top": _list(ref("Class"), minItems=1)}),
    "Answer": _object({**_HOW, "slack_ms": _or_null(_NUMBER), "predictions": _list(ref("Prediction"), minItems=1)}),
    "Net": _NET,
    "Nets": _object(_NETS),
    "Reloaded": _object({"reloaded": _TRUE, **_NETS}),
    "Status": _object(
        {
            "queue": _COUNT,
            "answered": {"type": "object", "additionalProperties": _COUNT},
            "batches": _COUNT,
            "misses": _COUNT,
            "refused": _COUNT,
            "uptime_s": {"type": "number", "minimum": 0},
        }
    ),
    "Live": _object({"live": _TRUE}),
    "Ready": _object({"ready": _TRUE}),
    "Document": _object({"openapi": _TEXT, "info": {"type": "object"}, "paths": {"type": "object"}}, closed=False),
    "Server": _object({"name": _TEXT, "version": _TEXT, "extensions": _list(_TEXT)}),
    "Tensor": _TENSOR,
    "Model": _object(
        {
            "name": _TEXT,
            "versions": _list(_TEXT),
            "platform": _TEXT,
            "inputs": _list(ref("Tensor")),
            "outputs": _list(ref("Tensor")),
        }
    ),
    "ModelReady": _object({"name": _TEXT, "ready": _TRUE}),
    "Input": _object(
        {
            "name": {"const": "images"},
            "shape": _list({"type": "integer", "minimum": 1, "maximum": 2**32}, minItems=4, maxItems=4),
            "datatype": {"enum": ["FP32", "UINT8"]},
        },
        {"data": _DATA, "parameters": _object({}, {"binary_data_size": _COUNT})},
    ),
    "Output": _object(
        {"name": {"enum": ["logits", "class", "probability"]}},
        {"parameters": _object({}, {"binary_data": {"type": "boolean"}})},
    ),
    "Inference": _object(
        {"inputs": _list(ref("Input"), minItems=1, maxItems=1)},
        {
            "id": _NAME,
            "outputs": _list(ref("Output"), maxItems=3),
            "parameters": _object(
                {},
                {
                    **{key: wish for key, wish in WISHES.items() if key != "top"},
                    "binary_data_output": {"type": "boolean"},
                },
            ),
        },
    ),
    "OutputData": _object(
        {"name": _TEXT, "datatype": _TEXT, "shape": _list(_COUNT)},
        {"data": _list(_NUMBER), "parameters": _object({"binary_data_size": _COUNT})},
    ),
    "InferenceAnswer": _object(
        {
            "model_name": _TEXT,
            "model_version": _TEXT,
            "parameters": _object(_HOW, {"slack_ms": _NUMBER}),
            "outputs": _list(ref("OutputData")),
        },
        {"id": _TEXT},
    ),
}
