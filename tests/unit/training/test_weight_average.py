import torch

import ddnn
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
