"""Activation checkpointing: the same numbers, the same statistics, less that is kept."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor

import ddnn
from ddnn.errors import DDNNError


def kept_bytes(network: ddnn.DepthDynamicNetwork, images: Tensor, recompute: bool) -> tuple[int, dict[str, Tensor]]:
    """Bytes that the forward pass keeps for the backward pass, and gradients and statistics after both."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network.forward_all(images, recompute=recompute)
    sum(output.logits.square().sum() for output in outputs.values()).backward()
    weights = sum(parameter.nbytes for parameter in network.parameters())
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return sum(kept.values()) - (0 if recompute else weights), gradients | dict(network.named_buffers())


def test_keeps_less_and_changes_nothing() -> None:
    torch.manual_seed(0)
    plain = ddnn.build("resnet20", {"small": (1, 2, 1)}, num_classes=3).double()
    images = torch.randn(4, 3, 32, 32).double()
    other = deepcopy(plain)
    bytes_plain, expected = kept_bytes(plain, images, recompute=False)
    bytes_recomputed, actual = kept_bytes(other, images, recompute=True)
    assert bytes_recomputed < bytes_plain / 2
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name


def test_nets_without_steps_cannot_be_recomputed() -> None:
    class Odd(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 3, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).mean((2, 3)) if float(x.sum()) > -1e9 else x

    with pytest.warns(UserWarning, match="one by one"):
        network = ddnn.from_model(Odd(), ["body"], {"half": (1,)})
    with pytest.raises(DDNNError, match="no known steps"):
        network.forward_all(torch.randn(2, 3, 8, 8), recompute=True)
