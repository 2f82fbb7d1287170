"""The weights of a graph in int8: codes that all nets share, and scales that are each net's own."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from onnx_ir.passes import common

from ddnn.deployment.quantization.codes import LEVELS, encode, scaled
from ddnn.deployment.quantization.constants import Constants, weight_behind
from ddnn.deployment.quantization.norms import Affine, norm_after, remove_norm

WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})
"""Operators whose second input is a weight, if it is a constant."""


def quantize_weights(model: ir.Model, nodes: Collection[str], input_scales: Mapping[str, float], bits: int) -> set[str]:
    """Put codes, and what makes numbers of them, in place of the weights of some nodes; a batch norm that follows goes
    into scales and bias.

    Args:
        model: a float graph; it is changed.
        nodes: names of nodes; where one has no constant weight, nothing is changed.
        input_scales: of the quantised values that go into nodes, by the names of the values.
        bits: of the codes, 7 or 8.

    Returns:
        Names of the nodes whose weights are codes now.
    """
    work = _Work(model.graph, input_scales, LEVELS[bits])
    done = {str(node.name) for node in list(model.graph) if node.name in nodes and work.quantize(node)}
    common.RemoveUnusedNodesPass()(model)
    return done


def weighted_nodes(model: ir.Model) -> list[str]:
    """Names of the nodes whose weights can be put into int8, from the input to the output."""
    constants = Constants(model.graph.opset_imports[""])
    return [str(node.name) for node in model.graph if _has_weight(node, constants)]


@dataclass(frozen=True)
class _Source:
    """Where the weight of a node comes from.

    Args:
        array: output channels first.
        channels: for each channel of the node, the one in `array`.
        shared: the weight that all nets have in common; None if `array` is this net's own.
    """

    array: np.ndarray
    channels: np.ndarray
    shared: ir.Value | None


class _Work:
    """The graph while its weights are replaced, node by node."""

    def __init__(self, graph: ir.Graph, input_scales: Mapping[str, float], levels: int) -> None:
        self._graph, self._input_scales, self._levels = graph, input_scales, levels
        self._opset = graph.opset_imports[""]
        self._constants = Constants(self._opset)

    def quantize(self, node: ir.Node) -> bool:
        """Replace the weight of a node, if it has a constant one; whether it had."""
        if not _has_weight(node, self._constants):
            return False
        given, weight, own_bias = (*node.inputs, None)[:3]
        assert given is not None
        assert weight is not None
        axis = 1 if node.op_type == "MatMul" or (node.op_type == "Gemm" and not _is_transposed(node)) else 0
        source = self._source(weight, axis)
        found = norm_after(node, self._constants)
        affine = Affine(np.ones(len(source.channels)), np.zeros(len(source.channels))) if found is None else found[1]
        added = None if own_bias is None else self._constants.value(own_bias)
        bias = affine.addend if added is None else added * affine.factor + affine.addend
        scale = self._input_scales[str(given.name)]
        codes = scaled(encode(source.array, self._levels), source.channels, affine.factor, bias, scale)
        if found is not None:
            remove_norm(self._graph, node, found[0])
            node.resize_inputs(3)
            node.replace_input_with(2, self._constant(f"{node.name}.bias", bias.astype(np.float32)))
        self._insert(node, source, codes.codes, codes.scales, axis)
        return True

    def _source(self, weight: ir.Value, axis: int) -> _Source:
        """The weight of a node whose channels are along `axis`.

        It is the one that all nets share, wherever its channels stay together on the way to the node.
        """
        shared = weight_behind(weight)
        if shared is not None and shared.const_value is not None:
            array = shared.const_value.numpy()
            numbers = np.arange(len(array)).reshape(-1, *[1] * (array.ndim - 1))
            moved = Constants(self._opset, {str(shared.name): np.broadcast_to(numbers, array.shape)}).value(weight)
            assert moved is not None
            rows = np.moveaxis(moved, axis, 0).reshape(moved.shape[axis], -1)
            if (rows == rows[:, :1]).all():
                return _Source(array, rows[:, 0].copy(), shared)
        own = self._constants.value(weight)
        assert own is not None
        return _Source(np.moveaxis(own, axis, 0), np.arange(own.shape[axis]), None)

    def _insert(self, node: ir.Node, source: _Source, codes: np.ndarray, scales: np.ndarray, axis: int) -> None:
        """Let a node take its weight from codes."""
        weight = node.inputs[1]
        assert weight is not None
        if source.shared is None:
            stored = self._constant(f"{weight.name}.int8", np.ascontiguousarray(np.moveaxis(codes, 0, axis)))
        else:
            coded = self._constant(f"{source.shared.name}.int8", codes)
            stored = self._moved(weight, {source.shared: coded}, before=node)
        scale = self._constant(f"{node.name}.scales", scales)
        zero = self._constant(f"{node.name}.zero_points", np.zeros(len(scales), dtype=np.int8))
        numbers = ir.node("DequantizeLinear", [stored, scale, zero], {"axis": axis}, name=f"{node.name}.dequantize")
        _describe(numbers.outputs[0], f"{node.name}.weight", ir.DataType.FLOAT, weight.shape)
        self._graph.insert_before(node, numbers)
        node.replace_input_with(1, numbers.outputs[0])

    def _moved(self, value: ir.Value, moved: dict[ir.Value, ir.Value], before: ir.Node) -> ir.Value:
        """What the graph makes of the shared weight, made of its codes; `moved` has what is made already."""
        node = value.producer()
        if value not in moved and node is not None:
            inputs = [None if given is None else self._moved(given, moved, before) for given in node.inputs]
            copy = ir.Node("", node.op_type, inputs, node.attributes.values(), name=f"{before.name}.{node.name}")
            _describe(copy.outputs[0], f"{before.name}.{value.name}", ir.DataType.INT8, value.shape)
            self._graph.insert_before(before, copy)
            moved[value] = copy.outputs[0]
        return moved.get(value, value)

    def _constant(self, name: str, array: np.ndarray) -> ir.Value:
        """A new constant; its name gets a number where another of that name has other contents."""
        number, unique = 1, name
        while unique in self._graph.initializers:
            number, unique = number + 1, f"{name}.{number + 1}"
        value = ir.Value(name=unique, const_value=ir.tensor(array, name=unique))
        _describe(value, unique, ir.DataType.from_numpy(array.dtype), ir.Shape(array.shape))
        self._graph.register_initializer(value)
        return value


def _has_weight(node: ir.Node, constants: Constants) -> bool:
    """Whether a node multiplies what flows through the graph with a constant weight, and adds no changing bias."""
    if node.op_type not in WEIGHTED:
        return False
    given, *fixed = [value for value in node.inputs if value is not None]
    return constants.value(given) is None and all(constants.value(value) is not None for value in fixed)


def _is_transposed(node: ir.Node) -> bool:
    return node.attributes.get_int("transB", 0) == 1


def _describe(value: ir.Value, name: str, dtype: ir.DataType, shape: ir.Shape | None) -> None:
    value.name, value.type, value.shape = name, ir.TensorType(dtype), shape
