"""Small graphs with known weights, written by hand: a convolution, a norm, and what comes between them."""

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Arrays = dict[str, np.ndarray]


def graph_of(nodes: list[onnx.NodeProto], constants: Arrays, shape: tuple[int, ...]) -> onnx.ModelProto:
    """A graph from `images` of this shape, the batch left out, to `logits`."""
    given = helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *shape])
    taken = helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "net", [given], [taken], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def node(kind: str, inputs: str, output: str, **attributes: object) -> onnx.NodeProto:
    """A node, named after what comes out of it."""
    return helper.make_node(kind, inputs.split(), [output], name=f"node_{output}", **attributes)


def norm_arrays(rng: np.random.Generator, channels: int) -> Arrays:
    """Norm weights of both signs, and running statistics."""
    signs = np.where(np.arange(channels) % 3, 1, -1)
    return {
        "norm.weight": (signs * rng.uniform(0.5, 2, channels)).astype(np.float32),
        "norm.bias": rng.normal(size=channels).astype(np.float32),
        "norm.mean": rng.normal(size=channels).astype(np.float32),
        "norm.var": rng.uniform(0.1, 3, channels).astype(np.float32),
    }


def convolution(arrays: Arrays) -> onnx.ModelProto:
    """Convolution, norm, activation; `weight` is the one of the convolution."""
    norms = " ".join(f"norm.{name}" for name in ("weight", "bias", "mean", "var"))
    nodes = [
        node("Conv", "images weight", "conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", f"conv {norms}", "norm", epsilon=1e-5),
        node("Relu", "norm", "logits"),
    ]
    return graph_of(nodes, arrays, (arrays["weight"].shape[1], 6, 6))


def run(model: onnx.ModelProto | ir.Model, images: np.ndarray) -> np.ndarray:
    """What a graph gives, in arithmetic as it stands: nothing is fused into integer kernels."""
    proto = ir.to_proto(model) if isinstance(model, ir.Model) else model
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"images": images})[0]


def array_of(model: ir.Model, name: str) -> np.ndarray:
    """A constant of a graph."""
    value = model.graph.initializers[name].const_value
    assert value is not None
    return value.numpy()
