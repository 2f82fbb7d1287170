import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto
from onnxruntime.quantization.quant_utils import compute_data_quant_params, quantize_nparray

from ddnn.deployment.quantization.codes import LEVELS, Codes, encode, scaled


def random_weight(seed: int, channels: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(channels, 4, 3, 3)).astype(np.float32)


def test_codes_are_those_of_torch() -> None:
    weight = torch.from_numpy(random_weight(0))
    scales = weight.flatten(1).abs().amax(1) / 127
    zeros = torch.zeros(6, dtype=torch.int32)
    rounded = torch.fake_quantize_per_channel_affine(weight, scales, zeros, 0, -127, 127)
    codes = encode(weight.numpy(), 127)
    assert np.array_equal(codes.codes, (rounded / scales[:, None, None, None]).round().numpy())
    np.testing.assert_allclose(codes.scales, scales, rtol=1e-6)


@pytest.mark.parametrize("bits", LEVELS)
def test_the_largest_weight_of_each_channel_gets_the_largest_code(bits: int) -> None:
    codes = encode(random_weight(1), LEVELS[bits]).codes
    assert codes.dtype == np.int8
    assert (np.abs(codes).reshape(6, -1).max(axis=1) == LEVELS[bits]).all()


def test_sums_of_two_products_fit_into_16_bits_with_7_bits_and_not_with_8() -> None:
    assert 2 * 255 * LEVELS[7] <= np.iinfo(np.int16).max < 2 * 255 * LEVELS[8]


def test_a_channel_of_zeros_has_codes_of_zero() -> None:
    weight = random_weight(2)
    weight[3] = 0
    codes = encode(weight, 64)
    assert not codes.codes[3].any()
    assert np.isfinite(codes.scales).all()
    assert (codes.scales > 0).all()


@given(seed=st.integers(0, 2**16), power=st.floats(-6, 6))
def test_a_factor_for_each_channel_changes_no_code_but_by_its_sign(seed: int, power: float) -> None:
    weight = random_weight(seed)
    rng = np.random.default_rng(seed)
    factors = rng.uniform(0.5, 2, 6) * 10**power * rng.choice([-1, 1], 6)
    shared, folded = encode(weight, 64), encode((weight * factors[:, None, None, None]).astype(np.float32), 64)
    own = scaled(shared, np.arange(6), factors, None, 1.0)
    signs = np.sign(factors)[:, None, None, None].astype(np.int8)
    assert np.array_equal(own.codes, shared.codes * signs)
    difference = np.abs(own.codes.astype(int) - folded.codes.astype(int))
    assert difference.max() <= 1  # of numbers halfway between two codes, when the weight is folded in float32
    assert (difference > 0).mean() < 0.02
    np.testing.assert_allclose(own.scales, folded.scales, rtol=1e-5)


def test_codes_are_those_of_onnxruntime_s_quantiser_for_folded_weights() -> None:
    weight, factors = random_weight(7), np.array([0.3, -2.0, 1e-4, -7.0, 1.0, 40.0])
    own = scaled(encode(weight, LEVELS[8]), np.arange(6), factors, None, 1.0)
    for channel, factor in enumerate(factors):
        folded = (weight[channel] * factor).astype(np.float32)
        zero, scale = compute_data_quant_params(folded.ravel(), TensorProto.INT8, symmetric=True)
        codes = quantize_nparray(TensorProto.INT8, folded, scale, zero)
        assert zero == 0
        assert own.scales[channel] == pytest.approx(float(scale), rel=1e-6)
        assert np.abs(own.codes[channel].astype(int) - codes.astype(int)).max() <= 1
        assert (own.codes[channel] != codes).mean() < 0.05


def test_a_net_may_have_some_of_the_channels_in_another_order() -> None:
    weight, factors = random_weight(3), np.array([2.0, -3.0])
    own = scaled(encode(weight, 64), np.array([4, 1]), factors, None, 1.0)
    numbers = own.codes[[4, 1]] * own.scales[:, None, None, None]
    np.testing.assert_allclose(
        numbers, weight[[4, 1]] * factors[:, None, None, None], atol=3.1 * np.abs(weight).max() / 64
    )
    assert np.array_equal(own.codes[0], encode(weight, 64).codes[0])


def test_a_bias_far_above_its_channel_s_weights_still_fits_into_int32() -> None:
    weight = random_weight(4)
    factors = np.array([1.0, 1e-9, 1e-13, 0.0, 1.0, 1.0])
    bias, input_scale = np.full(6, 0.5), 0.02
    own = scaled(encode(weight, 64), np.arange(6), factors, bias, input_scale)
    assert (np.abs(bias / (own.scales.astype(np.float64) * input_scale)) < 2**31).all()
    numbers = own.codes * own.scales[:, None, None, None]
    np.testing.assert_allclose(numbers, weight * factors[:, None, None, None], atol=np.abs(weight).max() / 64)
    assert not own.codes[2:4].any()
    assert np.array_equal(own.codes[0], encode(weight, 64).codes[0])


def test_codes_that_stay_are_not_copied() -> None:
    shared = encode(random_weight(5), 64)
    assert scaled(shared, np.arange(6), np.full(6, 0.1), None, 1.0).codes is shared.codes
    assert isinstance(shared, Codes)
