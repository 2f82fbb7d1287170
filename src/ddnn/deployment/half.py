"""A graph that computes in half precision (fp16) and still takes and gives float32, so that whoever calls it need not
know.

Weights and what is between layers have 16 bits, which halves the file, and is what browsers and GPUs are fast with.
onnxruntime computes on a CPU in float32 what it has no half-precision code for.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx_ir as ir

_LARGEST = float(np.finfo(np.float16).max)
_STAYS = {"Resize": (1, 2), "QuantizeLinear": (1,), "DequantizeLinear": (1,)}
"""Inputs of operators that ONNX wants in float32."""


def to_half(model: "ir.Model") -> "ir.Model":
    """Change a graph to half precision, but for its inputs and outputs.

    Args:
        model: a graph in float32; it is changed, and returned.
    """
    import onnx_ir as ir

    single, half = ir.DataType.FLOAT, ir.DataType.FLOAT16
    graph = model.graph
    kept = {value for node in graph.all_nodes() for value in _kept(node)}
    for value in graph.initializers.values():
        if value.const_value is not None and value.const_value.dtype == single and value not in kept:
            value.const_value = _rounded(value.const_value)
            value.type = ir.TensorType(half)  # a new one: graphs that were cut out of one have types in common
    for node in graph.all_nodes():
        _change_attributes(node)
        for value in node.outputs:
            if value.dtype == single:
                value.type = ir.TensorType(half)
    for value in [value for value in graph.inputs if value.dtype == single]:
        _cast_input(graph, value)
    for place, value in enumerate(list(graph.outputs)):
        if value.dtype == half:
            _cast_output(graph, place, value)
    return model


def _kept(node: "ir.Node") -> Iterator["ir.Value"]:
    for place in _STAYS.get(node.op_type, ()):
        if place < len(node.inputs) and (value := node.inputs[place]) is not None:
            yield value


def _rounded(tensor: "ir.TensorProtocol") -> "ir.Tensor":
    """The nearest numbers of 16 bits; what is too large for them, such as the -3e38 of a mask, becomes the largest."""
    import onnx_ir as ir

    return ir.Tensor(np.clip(tensor.numpy(), -_LARGEST, _LARGEST).astype(np.float16), name=tensor.name)


def _change_attributes(node: "ir.Node") -> None:
    """Make constants and casts of a node that are float32 half precision."""
    import onnx_ir as ir

    for name, attribute in list(node.attributes.items()):
        if attribute.type == ir.AttributeType.TENSOR and attribute.value.dtype == ir.DataType.FLOAT:
            node.attributes[name] = ir.AttrTensor(name, _rounded(attribute.value))
        elif name in ("to", "dtype") and attribute.value == ir.DataType.FLOAT:
            node.attributes[name] = ir.AttrInt64(name, int(ir.DataType.FLOAT16))


def _cast_input(graph: "ir.Graph", value: "ir.Value") -> None:
    import onnx_ir as ir

    uses = list(value.uses())
    cast = _cast(value, f"{value.name}_half", ir.DataType.FLOAT16)
    for user, place in uses:
        user.replace_input_with(place, cast.outputs[0])
    first = next(iter(graph), None)
    if first is None:
        graph.append(cast)
    else:
        graph.insert_before(first, cast)


def _cast_output(graph: "ir.Graph", place: int, value: "ir.Value") -> None:
    import onnx_ir as ir

    name, value.name = value.name, f"{value.name}_half"
    cast = _cast(value, str(name), ir.DataType.FLOAT)
    graph.append(cast)
    graph.outputs[place] = cast.outputs[0]


def _cast(value: "ir.Value", name: str, kind: "ir.DataType") -> "ir.Node":
    import onnx_ir as ir

    cast = ir.node("Cast", [value], attributes={"to": int(kind)})
    cast.outputs[0].name, cast.outputs[0].type, cast.outputs[0].shape = name, ir.TensorType(kind), value.shape
    return cast
