"""Dropout before the last layer of the full net: of that alone, while it is trained."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

import ddnn
from ddnn.network.full_dropout import dropout_before_classifier
from ddnn.objectives import Joint
from ddnn.training.step import TrainingStep
from tests.unit.training.test_step import Counting, counting, unchecked  # noqa: F401


@pytest.fixture
def network() -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    return ddnn.build("resnet20", ["resnet8"], num_classes=10).train()


def outputs(network: ddnn.DepthDynamicNetwork) -> dict[str, Tensor]:
    images = torch.randn(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    return {name: output.logits for name, output in network.forward_all(images).items()}


def test_only_what_goes_into_the_full_nets_classifier_is_dropped(network: ddnn.DepthDynamicNetwork) -> None:
    seen: dict[str, Tensor] = {}
    before = outputs(deepcopy(network))
    with dropout_before_classifier(network, 0.5):
        fc = network["resnet20"].get_submodule("fc")
        handle = fc.register_forward_hook(lambda _module, given, _output: seen.update(given=given[0]))
        with_dropout = outputs(network)
        handle.remove()
    assert torch.equal(with_dropout["resnet8"], before["resnet8"])
    assert not torch.equal(with_dropout["resnet20"], before["resnet20"])
    assert 0.4 < (seen["given"] == 0).float().mean() < 0.7  # besides the features that are 0 by themselves
    torch.testing.assert_close(outputs(network)["resnet20"], before["resnet20"])


def test_nothing_is_dropped_in_evaluation_nor_afterwards(network: ddnn.DepthDynamicNetwork) -> None:
    network.eval()
    before = outputs(network)
    with dropout_before_classifier(network, 0.5):
        during = outputs(network)
    for name in network.names:
        assert torch.equal(before[name], during[name])
    assert not any(module._forward_pre_hooks for module in network.modules())


def test_none_is_no_hook(network: ddnn.DepthDynamicNetwork) -> None:
    with dropout_before_classifier(network, 0.0):
        assert not any(module._forward_pre_hooks for module in network.modules())


def test_it_can_be_compiled(network: ddnn.DepthDynamicNetwork, counting: Counting) -> None:  # noqa: F811
    counter = counting("eager")
    images, labels = torch.randn(6, 3, 16, 16), torch.arange(6)
    with dropout_before_classifier(network, 0.5):
        step = TrainingStep(network, Joint(), compile=True)
        losses = [step(images, labels, torch.tensor(0.0), network.names).parts for _ in range(4)]
    assert counter.frame_count == 1
    assert len({float(parts["ce/resnet20"]) for parts in losses}) == 4
    assert len({float(parts["ce/resnet8"]) for parts in losses}) == 1


def test_a_net_without_a_last_linear_layer_is_refused() -> None:
    stage = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
    model = nn.Sequential(stage, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    network = ddnn.from_model(model, ["0"], {"half": (1,)})
    with (
        pytest.raises(ddnn.DDNNError, match=r"full_dropout is not possible for .* no last linear layer of its own"),
        dropout_before_classifier(network, 0.5),
    ):
        pass
