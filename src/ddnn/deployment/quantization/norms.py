"""Batch normalisation after a convolution as one factor and one addend a channel."""

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ddnn.deployment.quantization.constants import Constants


@dataclass(frozen=True)
class Affine:
    """What a batch norm does in evaluation mode: `factor * x + addend`, float64 of shape (channels,)."""

    factor: np.ndarray
    addend: np.ndarray


def norm_after(node: ir.Node, constants: Constants) -> tuple[ir.Node, Affine] | None:
    """The batch norm that alone takes what a convolution gives, if there is one whose values are constants."""
    output = node.outputs[0]
    users = [use.node for use in output.uses()]
    if node.op_type != "Conv" or output.is_graph_output() or len(users) != 1:
        return None
    (norm,) = users
    if norm.op_type != "BatchNormalization" or norm.inputs[0] is not output:
        return None
    found = [constants.value(value) for value in norm.inputs[1:5] if value is not None]
    values = [value.astype(np.float64) for value in found if value is not None]
    if len(values) != 4:
        return None
    weight, bias, mean, variance = values
    factor = weight / np.sqrt(variance + norm.attributes.get_float("epsilon", 1e-5))
    return norm, Affine(factor, bias - mean * factor)


def remove_norm(graph: ir.Graph, node: ir.Node, norm: ir.Node) -> None:
    """Take out the norm after a node, whose output gets the name of the norm's: ranges go by names."""
    name = norm.outputs[0].name
    if norm.outputs[0].is_graph_output():
        graph.outputs[list(graph.outputs).index(norm.outputs[0])] = node.outputs[0]
    norm.outputs[0].replace_all_uses_with(node.outputs[0])
    graph.remove(norm, safe=True)
    node.outputs[0].name = name
