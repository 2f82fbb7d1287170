"""What a graph computes from its weights alone, such as a transposed weight, or the part of it that a sub-net has."""

from collections.abc import Mapping

import numpy as np
import onnx
import onnx_ir as ir
from onnx.reference import ReferenceEvaluator

MOVING = frozenset({"Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators that put numbers elsewhere and change none, so that they do to codes what they do to weights."""


class Constants:
    """Values of one graph, each computed once.

    Args:
        opset: of the graph.
        given: values by name, to be taken in place of the graph's own.
    """

    def __init__(self, opset: int, given: Mapping[str, np.ndarray] | None = None) -> None:
        self._opset = opset
        self._known: dict[str | None, np.ndarray | None] = dict(given.items() if given else ())

    def value(self, value: ir.Value) -> np.ndarray | None:
        """The array, or None if it depends on what goes into the graph."""
        if value.name not in self._known:
            self._known[value.name] = self._computed(value)
        return self._known[value.name]

    def _computed(self, value: ir.Value) -> np.ndarray | None:
        if value.const_value is not None:
            return value.const_value.numpy()
        node = value.producer()
        if node is None:
            return None
        inputs: dict[str, np.ndarray] = {}
        for given in node.inputs:
            if given is not None:
                array = self.value(given)
                if array is None:
                    return None
                inputs[str(given.name)] = array
        return _run(ir.to_proto(node), inputs, self._opset)[list(node.outputs).index(value)]


def weight_behind(value: ir.Value) -> ir.Value | None:
    """The one weight that a value is, or is made from by moving its numbers; None if there is no such weight."""
    found = _weights(value)
    return next(iter(found)) if found is not None and len(found) == 1 else None


def _weights(value: ir.Value) -> set[ir.Value] | None:
    """Weights that a value is made from by moving numbers; None if it is made in another way, or not from weights."""
    if value.const_value is not None:
        return {value} if value.dtype == ir.DataType.FLOAT else set()
    node = value.producer()
    if node is None or node.op_type not in MOVING:
        return None
    behind = [_weights(given) for given in node.inputs if given is not None]
    known = [weights for weights in behind if weights is not None]
    return set().union(*known) if len(known) == len(behind) else None


def _run(node: onnx.NodeProto, inputs: Mapping[str, np.ndarray], opset: int) -> list[np.ndarray]:
    taken = [
        onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in inputs.items()
    ]
    given = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = onnx.helper.make_graph([node], "constant", taken, given)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    return list(ReferenceEvaluator(model).run(None, dict(inputs)))  # type: ignore[arg-type]
