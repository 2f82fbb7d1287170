"""Against formulas written out in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddnn.distillation import attention_distance, attention_map, posterior_divergence, squared_attention_map


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@given(st.integers(1, 5), st.integers(2, 12), st.floats(0.5, 8.0), st.integers(0, 10_000))
def test_divergence_is_the_formula(batch: int, classes: int, temperature: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    student, teacher = generator.normal(size=(2, batch, classes)) * 3
    p, q = softmax(teacher / temperature), softmax(student / temperature)
    expected = temperature**2 * (p * np.log(p / q)).sum(axis=1).mean()
    actual = posterior_divergence(torch.from_numpy(student), torch.from_numpy(teacher), temperature)
    assert actual.item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_divergence_goes_from_teacher_to_student() -> None:
    sharp, flat = torch.tensor([[9.0, 0.0, 0.0]]), torch.zeros(1, 3)
    assert posterior_divergence(flat, sharp).item() == pytest.approx(np.log(3), abs=1e-2)  # KL(sharp | flat)
    assert posterior_divergence(sharp, flat).item() > 3  # KL(flat | sharp)


def test_attention_map_is_the_standardised_sum_over_channels() -> None:
    feature = torch.randn(3, 5, 4, 6, dtype=torch.float64)
    summed = feature.numpy().sum(axis=1)
    expected = (summed - summed.mean(axis=(1, 2), keepdims=True)) / summed.std(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(attention_map(feature).numpy(), expected, rtol=1e-5)


def test_squared_attention_map_has_length_one() -> None:
    feature = torch.randn(3, 5, 4, 6)
    summed = feature.numpy().astype(np.float64) ** 2
    summed = summed.sum(axis=1)
    expected = summed / np.sqrt((summed**2).sum(axis=(1, 2), keepdims=True))
    np.testing.assert_allclose(squared_attention_map(feature).numpy(), expected, rtol=1e-4)


def test_a_constant_map_is_zero_and_has_a_gradient() -> None:
    feature = torch.ones(2, 3, 1, 1, requires_grad=True)
    attention_map(feature).sum().backward()
    assert torch.equal(attention_map(feature), torch.zeros(2, 1, 1))
    assert feature.grad is not None
    assert bool(torch.isfinite(feature.grad).all())


def test_attention_distance_sums_over_stages() -> None:
    one, other = [torch.randn(2, 8, 8), torch.randn(2, 4, 4)], [torch.randn(2, 8, 8), torch.randn(2, 4, 4)]
    expected = sum(((a - b) ** 2).mean().item() for a, b in zip(one, other, strict=True))
    assert attention_distance(one, other).item() == pytest.approx(expected, rel=1e-6)


def test_shapes_are_checked_while_the_tests_run() -> None:
    with pytest.raises(Exception, match=r"(?i)type"):
        posterior_divergence(torch.zeros(2, 3), torch.zeros(2, 4))
