"""A net that can be quantised in any choice of blocks, quickly: it is exported and calibrated once."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir

from ddnn.deployment.quantization.activations import (
    Ranges,
    find_ranges,
    input_scales,
    quantize_activations,
)
from ddnn.deployment.quantization.blocks import blocks_of
from ddnn.deployment.quantization.scheme import Scheme
from ddnn.deployment.quantization.weights import quantize_weights, weighted_nodes
from ddnn.families import Step


@dataclass(frozen=True)
class FloatNet:
    """A net as a float graph, and what is needed to quantise it.

    Args:
        name: of the net.
        graph: with its weights.
        block_of: the block of each node, by the node's name.
        blocks: those that have weights to quantise, from the input to the output.
        ranges: of its values.
        scheme: how it is quantised.
    """

    name: str
    graph: onnx.ModelProto
    block_of: Mapping[str, str]
    blocks: tuple[str, ...]
    ranges: Ranges
    scheme: Scheme

    @classmethod
    def open(
        cls, name: str, path: Path, steps: Sequence[Step] | None, batches: Sequence[np.ndarray], scheme: Scheme
    ) -> "FloatNet":
        """Read a graph and calibrate it.

        Args:
            name: of the net.
            path: its ONNX file, with weights in the file or beside it.
            steps: of the net; None if there are none.
            batches: calibration images, (batch, channels, height, width).
            scheme: how it will be quantised.
        """
        graph = onnx.load(path)
        model = ir.from_proto(graph)
        block_of = blocks_of(model, steps)
        blocks = tuple(dict.fromkeys(block_of[node] for node in weighted_nodes(model)))
        return cls(name, graph, block_of, blocks, find_ranges(path, batches), scheme)

    def quantized(self, blocks: Collection[str]) -> onnx.ModelProto:
        """The graph with these blocks in int8, and the others as they are; names that the net does not have are left
        out.

        Batch norms of the others stay unfolded, so that these keep the weights that all nets share.
        """
        model = ir.from_proto(self.graph)
        chosen = {name for name, block in self.block_of.items() if block in blocks}
        weighted = quantize_weights(model, chosen, input_scales(self.ranges), self.scheme.weight_bits)
        following = {str(node.name) for node in model.graph if node.name in chosen and self._follows(node)}
        graph = ir.to_proto(model)
        return quantize_activations(graph, weighted | following, self.ranges, self.scheme) if weighted else graph

    def _follows(self, node: ir.Node) -> bool:
        """Whether a node computes with codes if what goes in is coded: not if it adds a constant, such as a bias,
        because that would be rounded to 8 bits."""
        return node.op_type in self.scheme.following and (
            node.op_type == "Clip" or all(value is None or value.const_value is None for value in node.inputs)
        )
