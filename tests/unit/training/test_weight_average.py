from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

import ddnn
from ddnn.training.averaged_teacher import AveragedTeacher
from ddnn.training.weight_average import WeightAverage, warm_decay


def test_it_is_the_recursion_written_out_for_weights_and_for_each_net_s_statistics() -> None:
    torch.manual_seed(0)
    net = ddnn.build("resnet14", subnets=["resnet8"], num_classes=3).train()
    average = WeightAverage(net, 0.5)
    expected = {name: tensor.detach().clone().double() for name, tensor in net.tensors().items()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(1, 6):
        outputs = net.forward_all(torch.randn(4, 3, 16, 16))
        sum(output.logits.square().mean() for output in outputs.values()).backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(net, step)
        average.update(net, step)  # once is enough
        decay = min(0.5, (1 + step) / (10 + step))
        for name, tensor in net.tensors().items():
            new = tensor.detach().double()
            expected[name] = decay * expected[name] + (1 - decay) * new if tensor.is_floating_point() else new
    found = average.network.tensors()
    assert found.keys() == expected.keys()
    assert {"resnet8/norm1.running_mean", "norm1.running_mean"} & found.keys() or "bn1.running_mean" in found
    for name, tensor in found.items():
        torch.testing.assert_close(tensor.double(), expected[name], rtol=1e-5, atol=1e-6)


def test_what_is_shared_stays_shared_and_nothing_is_trained() -> None:
    net = ddnn.build("resnet14", subnets=["resnet8"], num_classes=3)
    average = WeightAverage(net, 0.9).train()
    assert not average.network["resnet8"].training
    assert not any(parameter.requires_grad for parameter in average.parameters())
    assert len(list(average.network.parameters())) == len(list(net.parameters()))
    assert warm_decay(0.9, 10**6) == 0.9


def test_whole_numbers_among_the_parameters_are_copied() -> None:
    net = ddnn.build("resnet14", subnets=["resnet8"], num_classes=3)
    net["resnet14"].register_parameter(
        "table", torch.nn.Parameter(torch.zeros(3, dtype=torch.int64), requires_grad=False)
    )
    average = WeightAverage(net, 0.9)
    net["resnet14"].get_parameter("table").fill_(7)
    average.update(net, 1)
    assert average.network["resnet14"].get_parameter("table").tolist() == [7, 7, 7]


def test_statistics_of_sub_nets_that_begin_later_are_soon_theirs() -> None:
    net = ddnn.build("resnet14", subnets=["resnet8"], num_classes=3).train()
    average = WeightAverage(net, 0.999)
    own, early = net["resnet8"].get_buffer("layer3.0.bn1.running_var"), net["resnet14"].get_buffer("bn1.running_var")
    own_before, early_before, expected = own.clone(), early.clone(), own.double()
    for step in range(1, 1011):
        early.fill_(3.0)
        own.fill_(3.0 if step > 1000 else 1.0)
        average.update(net, step, steps_alone=1000)
        decay = warm_decay(0.999, max(0, step - 1000))
        expected = decay * expected + (1 - decay) * own.double()
    result = average.network
    torch.testing.assert_close(result["resnet8"].get_buffer("layer3.0.bn1.running_var"), expected.float())
    assert result["resnet8"].get_buffer("layer3.0.bn1.running_var").min() > 2.99
    assert result["resnet14"].get_buffer("bn1.running_var").min() > 2.9
    assert own_before.eq(1).all()
    assert early_before.eq(1).all()


def test_a_loaded_average_goes_on_where_it_was() -> None:
    net = ddnn.build("resnet14", subnets=["resnet8"], num_classes=3)
    average, loaded = WeightAverage(net, 0.5), WeightAverage(net, 0.5)
    average.update(net, 7)
    loaded.load_state_dict(average.state_dict())
    with torch.no_grad():
        net["resnet14"].get_parameter("fc.weight").add_(1.0)
    before = loaded.network["resnet14"].get_parameter("fc.weight").clone()
    loaded.update(net, 7)  # is in it already
    assert torch.equal(loaded.network["resnet14"].get_parameter("fc.weight"), before)
    loaded.update(net, 8)
    assert not torch.equal(loaded.network["resnet14"].get_parameter("fc.weight"), before)


class Asked(TorchDispatchMode):
    """Notes each time that a number is read from a tensor, for which the processor waits where that is on a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.times = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.times += func in (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.is_nonzero.default)
        return func(*args, **kwargs or {})


def test_no_step_reads_a_tensor_from_the_device() -> None:
    net = ddnn.build("resnet14", subnets=["resnet8"], num_classes=3)
    average, teacher = WeightAverage(net, 0.5), AveragedTeacher(net, 0.5)
    with Asked() as asked:
        for step in range(1, 4):
            average.update(net, step, steps_alone=2)
            teacher.update(net, step)
        assert asked.times == 0
        assert int(average.steps) == 3
    assert asked.times == 1, "the test sees it where somebody does"


def test_the_share_is_torch_s_to_the_last_bit() -> None:
    net = ddnn.build("resnet14", subnets=["resnet8"], num_classes=3)
    average = WeightAverage(net, 0.9)
    weight, own = (each["resnet14"].get_parameter("fc.weight") for each in (net, average.network))
    before = own.clone()
    with torch.no_grad():
        weight.add_(torch.randn_like(weight))
    average.update(net, 3)
    assert torch.equal(own, torch.lerp(before, weight.detach(), 1 - warm_decay(0.9, 3)))
