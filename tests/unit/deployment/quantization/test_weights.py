"""The weights of graphs in codes: what is shared, and that the numbers are those of an independent reference."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch.nn import functional

from ddnn.deployment.quantization.weights import quantize_weights, weighted_nodes
from tests.unit.deployment.quantization.graphs import Arrays, array_of, convolution, graph_of, node, norm_arrays, run

RNG = np.random.default_rng(0)
SCALES = {"images": 0.02, "middle": 0.02}


def arrays_of(seed: int, channels: int = 8) -> Arrays:
    """A weight that is always the same, and norms that share weight and bias but no statistics."""
    fixed, own = np.random.default_rng(0), np.random.default_rng(seed)
    weight = fixed.normal(size=(channels, 3, 3, 3)).astype(np.float32)
    shared = norm_arrays(fixed, channels)
    statistics = {
        name: array for name, array in norm_arrays(own, channels).items() if name in ("norm.mean", "norm.var")
    }
    return {"weight": weight, **shared, **statistics}


def quantized(graph: onnx.ModelProto, bits: int = 7) -> ir.Model:
    model = ir.from_proto(graph)
    assert quantize_weights(model, weighted_nodes(model), SCALES, bits)
    onnx.checker.check_model(ir.to_proto(model), full_check=True)
    return model


def fake_quantized(weight: np.ndarray, bits: int) -> torch.Tensor:
    """A weight rounded to its codes, by torch."""
    levels = {7: 64, 8: 127}[bits]
    tensor = torch.from_numpy(weight)
    scales = tensor.flatten(1).abs().amax(1) / levels
    zeros = torch.zeros(len(tensor), dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(tensor, scales, zeros, 0, -levels, levels)


@pytest.mark.parametrize("bits", [7, 8])
def test_the_graph_computes_with_rounded_weights_and_the_norm_of_torch(bits: int) -> None:
    arrays = arrays_of(1)
    images = RNG.normal(size=(4, 3, 6, 6)).astype(np.float32)
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    convolved = functional.conv2d(torch.from_numpy(images), fake_quantized(arrays["weight"], bits), padding=1)
    statistics = [tensors[f"norm.{name}"] for name in ("mean", "var", "weight", "bias")]
    expected = functional.relu(functional.batch_norm(convolved, *statistics))
    actual = run(quantized(convolution(arrays), bits), images)
    np.testing.assert_allclose(actual, expected.numpy(), atol=2e-5 * float(expected.max()))


def test_nets_with_statistics_of_their_own_have_the_same_codes() -> None:
    one, other = (quantized(convolution(arrays_of(seed))) for seed in (1, 2))
    assert np.array_equal(array_of(one, "weight.int8"), array_of(other, "weight.int8"))
    assert not np.allclose(array_of(one, "node_conv.scales"), array_of(other, "node_conv.scales"))
    assert array_of(one, "weight.int8").dtype == np.int8
    assert not {"weight", "norm.weight", "norm.mean"} & set(one.graph.initializers)


def test_a_part_of_the_full_net_s_weight_is_made_of_the_full_net_s_codes() -> None:
    whole = RNG.normal(size=(6, 10, 1, 1)).astype(np.float32)
    constants = {"whole": whole, "axes": np.array([1]), **{f"at{n}": np.array([n]) for n in (0, 2, 5, 9)}}
    nodes = [
        node("Slice", "whole at0 at2 axes", "left"),
        node("Slice", "whole at5 at9 axes", "right"),
        node("Concat", "left right", "part", axis=1),
        node("Conv", "images part", "logits"),
    ]
    graph = graph_of(nodes, constants, (6, 4, 4))
    model, full = quantized(graph), ir.from_proto(convolution({**arrays_of(0, 6), "weight": whole}))
    quantize_weights(full, ["node_conv"], SCALES, 7)
    assert np.abs(array_of(model, "whole.int8")).max() == 64
    assert np.array_equal(np.abs(array_of(model, "whole.int8")), np.abs(array_of(full, "weight.int8")))
    images = RNG.normal(size=(2, 6, 4, 4)).astype(np.float32)
    part = fake_quantized(whole, 7)[:, [0, 1, 5, 6, 7, 8]]
    expected = functional.conv2d(torch.from_numpy(images), part).numpy()
    np.testing.assert_allclose(run(model, images), expected, atol=1e-5)


def test_a_linear_layer_that_is_exported_as_a_transposed_product_has_codes_in_the_layout_of_the_parameter() -> None:
    weight, bias = RNG.normal(size=(5, 7)).astype(np.float32), RNG.normal(size=5).astype(np.float32)
    nodes = [
        node("Transpose", "weight", "turned", perm=[1, 0]),
        node("MatMul", "images turned", "product"),
        node("Add", "product bias", "logits"),
    ]
    model = quantized(graph_of(nodes, {"weight": weight, "bias": bias}, (3, 7)))
    assert array_of(model, "weight.int8").shape == (5, 7)
    images = RNG.normal(size=(2, 3, 7)).astype(np.float32)
    expected = images @ fake_quantized(weight, 7).numpy().T + bias
    np.testing.assert_allclose(run(model, images), expected, atol=1e-5)


def test_a_weight_that_is_computed_otherwise_gets_codes_of_its_own() -> None:
    weight, gain = RNG.normal(size=(5, 7)).astype(np.float32), np.arange(1, 8, dtype=np.float32)
    nodes = [node("Mul", "weight gain", "scaled"), node("Gemm", "images scaled", "logits", transB=1)]
    model = quantized(graph_of(nodes, {"weight": weight, "gain": gain}, (7,)))
    images = RNG.normal(size=(2, 7)).astype(np.float32)
    expected = images @ fake_quantized(weight * gain, 7).numpy().T
    np.testing.assert_allclose(run(model, images), expected, atol=1e-4)


def test_products_of_what_flows_are_left_alone() -> None:
    nodes = [node("Transpose", "images", "turned", perm=[0, 2, 1]), node("MatMul", "images turned", "logits")]
    model = ir.from_proto(graph_of(nodes, {}, (3, 7)))
    assert weighted_nodes(model) == []
    assert quantize_weights(model, ["node_logits"], SCALES, 7) == set()


def test_two_layers_on_one_weight_with_other_factors_keep_both_their_codes() -> None:
    arrays = {**arrays_of(1, 3), "minus": -arrays_of(1, 3)["norm.weight"]}
    rest = "norm.bias norm.mean norm.var"
    nodes = [
        node("Conv", "images weight", "first", pads=[1, 1, 1, 1]),
        node("BatchNormalization", f"first norm.weight {rest}", "middle"),
        node("Conv", "middle weight", "second", pads=[1, 1, 1, 1]),
        node("BatchNormalization", f"second minus {rest}", "logits"),
    ]
    graph = graph_of(nodes, arrays, (3, 6, 6))
    model = quantized(graph)
    assert np.array_equal(array_of(model, "weight.int8"), -array_of(model, "weight.int8.2"))
    images = RNG.normal(size=(2, 3, 6, 6)).astype(np.float32)
    assert np.abs(run(model, images) - run(graph, images)).max() < 0.05 * np.abs(run(graph, images)).max()
