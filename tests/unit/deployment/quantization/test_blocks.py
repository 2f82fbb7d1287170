"""Nodes and blocks, on a graph that is written by hand with the names of a family."""

import numpy as np
import onnx_ir as ir

from ddnn.deployment.quantization.blocks import WHOLE, blocks_of
from ddnn.families import Step
from tests.unit.deployment.quantization.graphs import graph_of, node

STEPS = [Step("stem", ("conv1",)), Step("layer1.0", ("layer1.0",)), Step("head", ("pool", "fc"))]


def model() -> ir.Model:
    weight = np.ones((3, 3, 1, 1), dtype=np.float32)
    constants = {name: weight * n for n, name in enumerate(["conv1.weight", "layer1.0.conv.weight", "fc.weight"])}
    nodes = [
        node("Conv", "images conv1.weight", "stem"),
        node("Relu", "stem", "stem_relu"),
        node("Conv", "stem_relu layer1.0.conv.weight", "inner"),
        node("Add", "inner stem_relu", "sum"),
        node("Relu", "sum", "out"),
        node("Conv", "out fc.weight", "logits"),
    ]
    return ir.from_proto(graph_of(nodes, constants, (3, 4, 4)))


def test_nodes_without_weights_belong_to_the_step_they_follow() -> None:
    assert blocks_of(model(), STEPS) == {
        "node_stem": "stem",
        "node_stem_relu": "stem",
        "node_inner": "layer1.0",
        "node_sum": "layer1.0",
        "node_out": "layer1.0",
        "node_logits": "head",
    }


def test_a_net_without_steps_is_one_block() -> None:
    assert set(blocks_of(model(), None).values()) == {WHOLE}
