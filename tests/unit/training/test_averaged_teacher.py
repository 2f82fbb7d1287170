"""The averaged teacher against the recursion written out."""

import pytest
import torch

import ddnn
from ddnn.training.averaged_teacher import AveragedTeacher


def test_is_an_exponential_moving_average() -> None:
    torch.manual_seed(0)
    network = ddnn.build("resnet14", ["resnet8"], num_classes=10).double()
    teacher = AveragedTeacher(network, decay=0.4)
    weight = network["resnet14"].get_parameter("fc.weight")
    expected = weight.detach().clone()
    for steps in range(20):
        with torch.no_grad():
            weight.add_(torch.randn_like(weight))
        teacher.update(network, steps)
        decay = min(0.4, (1 + steps) / (10 + steps))
        expected = decay * expected + (1 - decay) * weight.detach()
        torch.testing.assert_close(teacher.average.get_parameter("fc.weight"), expected)


def test_gives_the_averages_posterior_and_no_gradient() -> None:
    network = ddnn.build("resnet14", ["resnet8"], num_classes=10).eval()
    teacher = AveragedTeacher(network, decay=0.9).eval()
    images = torch.randn(2, 3, 32, 32)
    logits = teacher(images)
    assert torch.equal(logits, network(images))
    assert not logits.requires_grad
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    assert not {id(parameter) for parameter in network.parameters()} & {id(p) for p in teacher.parameters()}


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_the_configuration_refuses_what_is_no_average(decay: float) -> None:
    with pytest.raises(ddnn.DDNNError, match=r"ekd\.decay must be in \[0, 1\)"):
        ddnn.EKDConfig(decay=decay)


def test_only_norms_are_in_training_mode() -> None:
    network = ddnn.build("resnet14", num_classes=10)
    network["resnet14"].add_module("dropout", torch.nn.Dropout(0.9))
    teacher = AveragedTeacher(network, decay=0.9).train()
    training = {type(module) for module in teacher.average.modules() if module.training}
    assert training == {torch.nn.BatchNorm2d}
    assert not any(module.training for module in teacher.eval().modules())
