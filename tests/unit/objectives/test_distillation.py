"""Against formulas written out in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddnn.objectives.distillation import (
    adaptive_divergence,
    attention_distance,
    attention_map,
    posterior_divergence,
    squared_attention_map,
)


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


def adaptive(student: np.ndarray, teacher: np.ndarray, temperature: float, clip: float) -> tuple[float, np.ndarray]:
    """The value, and the gradient in the student's logits, sample by sample and class by class."""
    total, gradient = 0.0, np.zeros_like(student)
    for row, (p, q) in enumerate(zip(softmax(teacher / temperature), softmax(student / temperature), strict=True)):
        right = sum(p[k] * np.log(p[k] / q[k]) for k in range(len(p)))
        left = (sum(q[k] * min(q[k] / p[k], clip) for k in range(len(p))) - 1) / 2
        total += max(left, right)
        for k in range(len(p)):
            weight = [q[j] * min(q[j] / p[j], clip) if left > right else -p[j] for j in range(len(p))]
            gradient[row, k] = sum(weight[j] * ((j == k) - q[k]) for j in range(len(p))) / temperature
    return temperature**2 * total / len(student), temperature**2 * gradient / len(student)


@given(st.integers(1, 5), st.integers(2, 8), st.floats(0.5, 4.0), st.floats(1.1, 20.0), st.integers(0, 10_000))
def test_adaptive_divergence_is_the_larger_of_two(
    batch: int, classes: int, temperature: float, clip: float, seed: int
) -> None:
    student, teacher = np.random.default_rng(seed).normal(size=(2, batch, classes)) * 3
    value, gradient = adaptive(student, teacher, temperature, clip)
    logits = torch.from_numpy(student).requires_grad_()
    taught = torch.from_numpy(teacher).requires_grad_()
    actual = adaptive_divergence(logits, taught, temperature, clip)
    actual.backward()
    assert actual.item() == pytest.approx(value, rel=1e-6, abs=1e-9)
    np.testing.assert_allclose(logits.grad, gradient, rtol=1e-6, atol=1e-9)
    assert taught.grad is None


def test_adaptive_divergence_is_kl_near_the_teacher_and_where_the_student_misses_a_class() -> None:
    generator = torch.Generator().manual_seed(0)
    teacher = torch.randn(64, 10, generator=generator, dtype=torch.float64)
    near = teacher + 1e-3 * torch.randn(64, 10, generator=generator, dtype=torch.float64)
    for temperature in (1.0, 3.0):
        near_kl = posterior_divergence(near, teacher, temperature).item()
        assert adaptive_divergence(near, teacher, temperature).item() == pytest.approx(near_kl, rel=5e-3)
    missing = torch.tensor([[2.0, -9.0, 0.0]], requires_grad=True)
    seeing = torch.tensor([[2.0, 2.0, 0.0]])
    found = [measure(missing, seeing) for measure in (adaptive_divergence, posterior_divergence)]
    torch.testing.assert_close(*found)
    torch.testing.assert_close(*(torch.autograd.grad(value, missing)[0] for value in found))


def test_adaptive_divergence_is_finite_where_a_posterior_is_zero_in_single_precision() -> None:
    for student, teacher in ((300.0, -300.0), (-300.0, 300.0)):
        logits = torch.tensor([[student, 0.0]], requires_grad=True)
        value = adaptive_divergence(logits, torch.tensor([[teacher, 0.0]]))
        value.backward()
        assert value.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()


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
