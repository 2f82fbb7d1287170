"""Whole graphs in int8, as onnxruntime runs them: what is in codes, what stays float, and that it computes the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from ddnn.deployment.quantization.activations import find_ranges
from ddnn.deployment.quantization.float_net import FloatNet
from ddnn.deployment.quantization.scheme import Scheme
from ddnn.families import Step
from ddnn_runtime.sessions import open_session
from tests.unit.deployment.quantization.graphs import graph_of, node, norm_arrays

STEPS = [Step("stem", ("conv1", "norm")), Step("block", ("conv2",)), Step("head", ("fc",))]
IMAGES = np.random.default_rng(1).normal(size=(32, 3, 8, 8)).astype(np.float32)


def small_graph() -> onnx.ModelProto:
    """Stem with a norm, a residual block, a classifier."""
    rng = np.random.default_rng(0)
    norms = " ".join(f"norm.{name}" for name in ("weight", "bias", "mean", "var"))
    constants = {
        "conv1.weight": rng.normal(size=(16, 3, 3, 3)).astype(np.float32) / 5,
        **norm_arrays(rng, 16),
        "conv2.weight": rng.normal(size=(16, 16, 3, 3)).astype(np.float32) / 12,
        "fc.weight": rng.normal(size=(5, 16)).astype(np.float32) / 4,
        "fc.bias": rng.normal(size=5).astype(np.float32),
        "axes": np.array([2, 3]),
    }
    nodes = [
        node("Conv", "images conv1.weight", "conv1", pads=[1, 1, 1, 1]),
        node("BatchNormalization", f"conv1 {norms}", "norm"),
        node("Relu", "norm", "stem"),
        node("Conv", "stem conv2.weight", "conv2", pads=[1, 1, 1, 1]),
        node("Add", "conv2 stem", "sum"),
        node("Relu", "sum", "block"),
        node("ReduceMean", "block axes", "pooled", keepdims=0),
        node("Gemm", "pooled fc.weight fc.bias", "logits", transB=1),
    ]
    return graph_of(nodes, constants, (3, 8, 8))


@pytest.fixture(scope="module")
def net(tmp_path_factory: pytest.TempPathFactory) -> FloatNet:
    path = tmp_path_factory.mktemp("float") / "net.onnx"
    onnx.save(small_graph(), path)
    return FloatNet.open("net", path, STEPS, [IMAGES[:16], IMAGES[16:]], Scheme())


def logits(graph: onnx.ModelProto) -> np.ndarray:
    return open_session(graph.SerializeToString(), 1).run(None, {"images": IMAGES})[0]


def test_ranges_are_the_smallest_and_the_largest_number_seen(net: FloatNet) -> None:
    assert net.ranges["images"] == (float(IMAGES.min()), float(IMAGES.max()))
    assert net.ranges["stem"][0] == 0.0
    assert set(net.ranges) >= {"images", "conv1", "norm", "stem", "conv2", "sum", "block", "pooled", "logits"}


def test_blocks_are_those_with_weights_in_order(net: FloatNet) -> None:
    assert net.blocks == ("stem", "block", "head")


def test_all_in_int8_is_close_to_float(net: FloatNet) -> None:
    before, after = logits(net.graph), logits(net.quantized(net.blocks))
    assert np.abs(after - before).max() < 0.05 * before.std()
    assert not np.array_equal(after, before)


def test_onnxruntime_runs_what_is_in_codes_with_integer_kernels(net: FloatNet, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "fused.onnx")
    options.log_severity_level = 4
    graph = net.quantized(net.blocks).SerializeToString()
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    fused = [one.op_type for one in onnx.load(tmp_path / "fused.onnx").graph.node]
    assert fused.count("QLinearConv") == 2
    assert {"QLinearAdd", "QGemm"} <= set(fused)
    assert not {"Conv", "Gemm", "Relu", "BatchNormalization"} & set(fused)


def test_a_block_that_stays_in_float_keeps_the_weights_of_all_nets(net: FloatNet) -> None:
    graph = net.quantized(["head"])
    kept = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph.graph.initializer}
    for tensor in net.graph.graph.initializer:
        if not tensor.name.startswith("fc") and tensor.name != "axes":
            assert np.array_equal(kept[tensor.name], onnx.numpy_helper.to_array(tensor))
    assert "BatchNormalization" in [one.op_type for one in graph.graph.node]


def test_no_block_is_the_float_graph(net: FloatNet) -> None:
    assert np.array_equal(logits(net.quantized([])), logits(net.graph))


def test_a_choice_leaves_the_net_as_it_was(net: FloatNet) -> None:
    before = net.graph.SerializeToString(deterministic=True)
    ranges = dict(net.ranges)
    assert logits(net.quantized(["stem"])).tobytes() == logits(net.quantized(["stem"])).tobytes()
    net.quantized(net.blocks)
    assert net.graph.SerializeToString(deterministic=True) == before
    assert net.ranges == ranges


def test_logits_and_biases_are_not_rounded_to_8_bits(net: FloatNet) -> None:
    graph = net.quantized(net.blocks)
    assert next(one for one in graph.graph.node if "logits" in one.output).op_type == "Gemm"
    biases = [tensor for tensor in graph.graph.initializer if tensor.name == "fc.bias_quantized"]
    assert [tensor.data_type for tensor in biases] == [onnx.TensorProto.INT32]


def test_written_graphs_are_valid_and_as_precise_with_other_codes(net: FloatNet) -> None:
    for scheme in (Scheme(), Scheme(weight_bits=8, activations="int8")):
        graph = replace(net, scheme=scheme).quantized(net.blocks)
        onnx.checker.check_model(graph, full_check=True)
        assert np.abs(logits(graph) - logits(net.graph)).max() < 0.05 * logits(net.graph).std()


def test_a_graph_is_calibrated_with_all_batches(tmp_path: Path) -> None:
    onnx.save(small_graph(), tmp_path / "net.onnx")
    assert find_ranges(tmp_path / "net.onnx", [IMAGES[:1], 2 * IMAGES[1:2]])["images"] != (
        float(IMAGES[:1].min()),
        float(IMAGES[:1].max()),
    )
