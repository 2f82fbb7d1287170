"""The hand-written passes of synchronised batch norm, with one process that is all of them, against the formula."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn

from ddnn.distributed.synchronised_norms import synchronised, synchronised_batch_norm

EPS = 1e-3
SHAPES = [(6, 3), (4, 3, 5), (4, 3, 2, 3), (2, 3, 2, 2, 2)]


@pytest.fixture(autouse=True)
def _group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def formula(images: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    over, shape = [0, *range(2, images.ndim)], [1, -1, *[1] * (images.ndim - 2)]
    variance, mean = torch.var_mean(images, over, correction=0, keepdim=True)
    result = (images - mean) / (variance + EPS).sqrt()
    result = result if weight is None else result * weight.view(shape)
    return result if bias is None else result + bias.view(shape)


def normalised(images: Tensor, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    return synchronised_batch_norm(images, weight, bias, EPS)[0]


def values(shape: tuple[int, ...], mean: float = 0.0, dtype: torch.dtype = torch.float64) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return (mean + drawn).to(dtype).requires_grad_()


def parameters() -> tuple[Tensor, Tensor]:
    weight, bias = torch.tensor([[0.5, -2.0, 1.0], [0.0, 3.0, -1.0]], dtype=torch.float64)
    return weight.requires_grad_(), bias.requires_grad_()


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_gradients_are_right_to_double_precision(shape: tuple[int, ...], affine: bool) -> None:
    assert torch.autograd.gradcheck(normalised, (values(shape), *parameters()[: 2 * affine]))


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_formula(shape: tuple[int, ...], affine: bool) -> None:
    counted = torch.linspace(-1, 2, torch.Size(shape).numel()).double().view(shape)
    inputs = (values(shape, mean=1000), *parameters()[: 2 * affine])
    expected, actual = formula(*inputs), normalised(*inputs)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(
        torch.autograd.grad((actual * counted).sum(), inputs), torch.autograd.grad((expected * counted).sum(), inputs)
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_no_precision_is_lost_where_the_mean_is_large(layout: torch.memory_format) -> None:
    images = values((8, 3, 6, 6), mean=3000, dtype=torch.float32).detach().to(memory_format=layout)
    result, mean, variance, count = synchronised_batch_norm(images, None, None, EPS)
    torch.testing.assert_close(result.double(), formula(images.double()), rtol=0, atol=1e-3)
    exact, center = torch.var_mean(images.double(), [0, 2, 3], correction=0)
    torch.testing.assert_close(variance.double(), exact, rtol=1e-4, atol=0)
    torch.testing.assert_close(mean.double(), center, rtol=1e-6, atol=0)
    assert count == 8 * 36


def test_half_precision_is_computed_in_single() -> None:
    images, weight = values((8, 3, 6, 6), dtype=torch.bfloat16), torch.ones(3, requires_grad=True)
    result, mean, variance, _ = synchronised_batch_norm(images, weight, None, EPS)
    result.float().square().sum().backward()
    assert (result.dtype, mean.dtype, variance.dtype) == (torch.bfloat16, torch.float32, torch.float32)
    assert images.grad is not None
    assert weight.grad is not None
    assert (images.grad.dtype, weight.grad.dtype) == (torch.bfloat16, torch.float32)
    torch.testing.assert_close(result, formula(images.float(), weight).bfloat16(), rtol=0.02, atol=0.02)


@pytest.mark.parametrize("frozen", range(3), ids=["images", "weight", "bias"])
def test_what_is_frozen_gets_no_gradient_and_the_others_get_theirs(frozen: int) -> None:
    inputs = (values((4, 3, 2, 3)), *parameters())
    inputs[frozen].requires_grad_(False)
    learn = [own for own in inputs if own.requires_grad]
    loss, expected = (norm(*inputs).pow(3).sum() for norm in (normalised, formula))
    torch.testing.assert_close(torch.autograd.grad(loss, learn), torch.autograd.grad(expected, learn))


def test_in_evaluation_mode_the_norm_is_as_ever() -> None:
    norm = nn.BatchNorm2d(3).double().eval()
    images = values((4, 3, 2, 3))
    expected = norm(images)
    with synchronised(norm):
        assert torch.equal(norm(images), expected)
    assert norm.num_batches_tracked == 0
