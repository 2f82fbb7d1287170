"""Activation checkpointing: the same numbers, the same statistics, less that is kept."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

import ddnn
from ddnn.errors import DDNNError


def kept_bytes(network: ddnn.DepthDynamicNetwork, images: Tensor, recompute: bool) -> tuple[int, dict[str, Tensor]]:
    """Bytes that the forward pass keeps for the backward pass, and gradients and statistics after both."""
    kept: dict[int, int] = {}
    weights = {parameter.data_ptr() for parameter in network.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        outputs = network.forward_all(images, recompute=recompute)
    sum(output.logits.square().sum() for output in outputs.values()).backward()
    gradients = {name: p.grad for name, p in network.named_parameters() if p.grad is not None}
    return sum(kept.values()), gradients | dict(network.named_buffers())


def test_keeps_less_and_changes_nothing() -> None:
    torch.manual_seed(0)
    plain = ddnn.build("resnet20", {"small": (1, 2, 1)}, num_classes=3).double()
    images = torch.randn(4, 3, 32, 32).double()
    other = deepcopy(plain)
    bytes_plain, expected = kept_bytes(plain, images, recompute=False)
    bytes_recomputed, actual = kept_bytes(other, images, recompute=True)
    assert 0 < bytes_recomputed < bytes_plain / 2
    assert actual.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(actual[name], tensor), name


def test_all_state_changes_once() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("batches", torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            self.get_buffer("batches").add_(1)
            return x

    def block() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 3, 1), Counting(), nn.Conv2d(3, 3, 1))

    model = nn.Sequential(nn.Sequential(block(), block()), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = ddnn.from_model(model, ["0"], {"half": (1,)}, example=torch.randn(2, 3, 8, 8))
    before = network.state_dict()["nets.net_half.0.0.1.batches"].clone()
    outputs = network.forward_all(torch.randn(2, 3, 8, 8), recompute=True)
    sum(output.logits.sum() for output in outputs.values()).backward()
    assert network.state_dict()["nets.net_half.0.0.1.batches"] == before + 1


def test_nets_without_steps_cannot_be_recomputed() -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).mean((2, 3)) if float(x.sum()) > -1e9 else x

    with pytest.warns(UserWarning, match="one by one"):
        network = ddnn.from_model(Odd(), ["body"], {"half": (1,)})
    with pytest.raises(DDNNError, match="could not be split"):
        network.forward_all(torch.randn(2, 3, 8, 8), recompute=True)
