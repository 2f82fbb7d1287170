"""Bodies of the Open Inference Protocol, version 2: JSON, with tensors in it or behind it, in binary.

The protocol is that of KServe (https://kserve.github.io/website/docs/concepts/architecture/data-plane/v2-protocol);
the binary tensors are Triton's extension of it, which KServe took over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.manifest import INPUT, OUTPUT
from ddnn_runtime.schema import typed
from ddnn_runtime.untrusted import UnfitValueError, shown

_Text = Annotated[str, Meta(max_length=1000)]
_Size = Annotated[int, Meta(ge=1, le=2**32)]
_TYPES: dict[str, np.dtype[Any]] = {
    "FP32": np.dtype("<f4"), "UINT8": np.dtype("u1"), "INT64": np.dtype("<i8"),
}  # fmt: skip
OUTPUTS = {OUTPUT: "FP32", "class": "INT64", "probability": "FP32"}
"""What can be asked for, and its type."""


@dataclass(frozen=True)
class _OfInput:
    binary_data_size: Annotated[int, Meta(ge=0, le=2**32)] | None = None


@dataclass(frozen=True)
class _Input:
    name: _Text
    shape: Annotated[tuple[_Size, ...], Meta(min_length=4, max_length=4)]
    datatype: Literal["FP32", "UINT8"]
    parameters: _OfInput = field(default_factory=_OfInput)
    data: Any = None


@dataclass(frozen=True)
class _OfOutput:
    binary_data: bool | None = None


@dataclass(frozen=True)
class _Output:
    name: Literal["logits", "class", "probability"]
    parameters: _OfOutput = field(default_factory=_OfOutput)


@dataclass(frozen=True)
class Inference:
    """A request.

    Args:
        inputs: one, called images.
        outputs: none means the logits.
        parameters: what is asked for beside: deadline_ms, subnet, least_accuracy, cascade, binary_data_output.
        id: comes back.
    """

    inputs: Annotated[tuple[_Input, ...], Meta(min_length=1, max_length=1)]
    outputs: Annotated[tuple[_Output, ...], Meta(max_length=len(OUTPUTS))] = ()
    parameters: dict[_Text, Any] = field(default_factory=dict)
    id: _Text | None = None

    @property
    def images(self) -> int:
        """How many it has."""
        return self.inputs[0].shape[0]

    @property
    def wishes(self) -> dict[str, Any]:
        """What is asked for beside the outputs."""
        return {key: value for key, value in self.parameters.items() if key != "binary_data_output"}

    @property
    def wanted(self) -> dict[str, bool]:
        """The outputs, and whether each is to be binary."""
        always = self.parameters.get("binary_data_output", False)
        if not isinstance(always, bool):
            raise DDNNError(f"binary_data_output must be true or false, not {shown(always)}")
        chosen = self.outputs or (_Output(OUTPUT),)
        given = {each.name: each.parameters.binary_data for each in chosen}
        return {name: always if binary is None else binary for name, binary in given.items()}


def read_inference(body: bytes, header: str | None) -> tuple[Inference, np.ndarray]:
    """What a body asks for, and its images: float32, or uint8 pixels, of the shape that it says.

    Args:
        body: JSON, and behind it a binary tensor if there is a header.
        header: Inference-Header-Content-Length: bytes of the JSON.

    Raises:
        DDNNError: it is no such body.
    """
    length = _length(header, len(body))
    try:
        values = msgspec.json.decode(body[:length])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise DDNNError(f"the request is no JSON: {error}") from None
    if not isinstance(values, dict):
        raise DDNNError(f"the request must be a JSON object, not {shown(values)}")
    asked: Inference = typed(values, Inference, "the request")
    if asked.inputs[0].name != INPUT:
        raise DDNNError(f"the input is called {INPUT}, not {shown(asked.inputs[0].name)}")
    return asked, _tensor(asked.inputs[0], memoryview(body)[length:])


def _length(header: str | None, most: int) -> int:
    if header is None:
        return most
    if not (header.isascii() and header.isdigit() and int(header[:20]) <= most):
        raise DDNNError(
            f"Inference-Header-Content-Length must be the bytes of the JSON, at most {most}, not {shown(header)}"
        )
    return int(header)


def _tensor(given: _Input, behind: memoryview) -> np.ndarray:
    kind, size = _TYPES[given.datatype], given.parameters.binary_data_size
    if size is None:
        if given.data is None:
            raise DDNNError(f"{INPUT} has neither data nor binary_data_size")
        if len(behind):
            raise DDNNError(f"{len(behind)} bytes stand behind the JSON, which speaks of none (binary_data_size)")
        values = _numbers(given.data, given.datatype)
        if values.size != prod(given.shape):
            raise DDNNError(f"{INPUT} has {values.size} numbers, not the {prod(given.shape)} of its shape")
        return values.astype(kind).reshape(given.shape)
    if given.data is not None:
        raise DDNNError(f"{INPUT} has data and binary_data_size: give one of the two")
    wanted = prod(given.shape) * kind.itemsize
    if not size == len(behind) == wanted:
        raise DDNNError(
            f"{given.datatype} of the shape {[*given.shape]} has {wanted} bytes; binary_data_size is {size}, and "
            f"{len(behind)} bytes stand behind the JSON"
        )
    return np.frombuffer(behind, kind).reshape(given.shape)


def _numbers(data: Any, datatype: str) -> np.ndarray:
    try:
        values = np.asarray(data)
    except (ValueError, RecursionError):
        raise DDNNError(f"the data of {INPUT} must be a list of numbers, or lists of one length in it") from None
    if values.dtype.kind not in "iuf" or (datatype == "UINT8" and values.dtype.kind == "f"):
        raise UnfitValueError(f"the data of {INPUT} must be {'whole ' if datatype == 'UINT8' else ''}numbers")
    if datatype == "UINT8" and values.size and not 0 <= values.min() <= values.max() <= 255:
        raise UnfitValueError(f"the data of {INPUT} must be 0 to 255, not {values.min()} to {values.max()}")
    return values


def written(
    head: dict[str, Any], tensors: dict[str, np.ndarray], binary: dict[str, bool]
) -> tuple[bytes, dict[str, str]]:
    """The body of a response, and its headers.

    Args:
        head: all but the outputs.
        tensors: the outputs.
        binary: whether each goes behind the JSON.
    """
    outputs, behind = [], []
    for name, values in tensors.items():
        output = {"name": name, "datatype": OUTPUTS[name], "shape": values.shape}
        if binary[name]:
            behind.append(values.astype(_TYPES[OUTPUTS[name]]).tobytes())
            outputs.append({**output, "parameters": {"binary_data_size": len(behind[-1])}})
        else:
            outputs.append({**output, "data": values.ravel().tolist()})
    text = msgspec.json.encode({**head, "outputs": outputs})
    if not behind:
        return text, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    return b"".join((text, *behind)), headers
