import pytest
import torch
from torch import nn

import ddnn
from ddnn.config import TrainConfig
from ddnn.training.optimization import make_optimizer, parameter_groups, schedule


def test_every_parameter_is_in_one_group_and_norms_and_biases_do_not_decay() -> None:
    network = ddnn.build("resnet14", ["resnet8"], shortcut="B")
    decayed, kept = parameter_groups(network, 0.1)
    assert decayed["weight_decay"] == 0.1
    assert kept["weight_decay"] == 0
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    both = [*decayed["params"], *kept["params"]]  # type: ignore[misc]
    assert sorted(map(id, both)) == sorted(names)
    undecayed = {names[id(parameter)] for parameter in kept["params"]}  # type: ignore[attr-defined]
    assert undecayed == {name for name in names.values() if "bn" in name or "bias" in name or "downsample.1" in name}


def test_optimizers() -> None:
    network = torch.nn.Linear(2, 2)
    sgd = make_optimizer(network, TrainConfig(lr=0.3, momentum=0.8))
    assert isinstance(sgd, torch.optim.SGD)
    assert sgd.defaults["nesterov"]
    assert (sgd.defaults["lr"], sgd.defaults["momentum"]) == (0.3, 0.8)
    assert isinstance(make_optimizer(network, TrainConfig(optimizer="adamw")), torch.optim.AdamW)


@pytest.mark.parametrize(("batch", "expected"), [(32, 0.1), (128, 0.1), (512, 0.4)])
def test_learning_rate_grows_with_the_batch(batch: int, expected: float) -> None:
    assert TrainConfig(batch_size=batch).peak_lr == pytest.approx(expected)


def test_cosine_with_warm_up() -> None:
    factor = schedule(TrainConfig(epochs=10, warmup_epochs=2), steps_per_epoch=50)
    values = [factor(step) for step in range(500)]
    assert values[0] < 0.02
    assert max(values) == pytest.approx(1.0)
    assert values.index(max(values)) == 100
    assert values[300] == pytest.approx(0.5, abs=0.01)
    assert values[-1] < 1e-3
    assert values[100:] == sorted(values[100:], reverse=True)


def test_steps() -> None:
    factor = schedule(TrainConfig(epochs=8, warmup_epochs=0, schedule="step"), steps_per_epoch=10)
    assert [factor(step) for step in (0, 39, 40, 59, 60, 79)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


@pytest.mark.parametrize(("milestones", "gamma"), [([0.3, 0.6, 0.8], 0.2), ([0.25], 0.5), ([], 0.1)])
def test_milestones_are_those_of_torch(milestones: list[float], gamma: float) -> None:
    epochs, steps_per_epoch = 20, 7
    config = TrainConfig(epochs=epochs, warmup_epochs=0, schedule="step", milestones=milestones, gamma=gamma, lr=0.4)
    factor = schedule(config, steps_per_epoch)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=config.peak_lr)
    in_epochs = [round(share * epochs) for share in milestones]
    reference = torch.optim.lr_scheduler.MultiStepLR(optimizer, in_epochs, gamma)
    for epoch in range(epochs):
        for step in range(epoch * steps_per_epoch, (epoch + 1) * steps_per_epoch):
            assert config.peak_lr * factor(step) == pytest.approx(reference.get_last_lr()[0])
        optimizer.step()
        reference.step()


def test_a_milestone_during_the_warm_up_shows_after_it() -> None:
    config = TrainConfig(epochs=10, warmup_epochs=2, schedule="step", milestones=[0.1, 0.5], gamma=0.3)
    factor = schedule(config, steps_per_epoch=10)
    assert [factor(step) for step in (0, 19, 20, 49, 50)] == pytest.approx([1 / 21, 20 / 21, 0.3, 0.3, 0.09])


def test_momentum_of_a_parameter_begins_with_its_first_gradient() -> None:
    """As torch's plain SGD has it, whichever step that is in; its fused one fails where it is not the same for all."""
    torch.manual_seed(0)
    ours, plain = nn.Linear(3, 3), nn.Linear(3, 3)
    plain.load_state_dict(ours.state_dict())
    groups = [{"params": [plain.weight], "weight_decay": 0.01}, {"params": [plain.bias]}]
    reference = torch.optim.SGD(groups, 0.1, momentum=0.9, nesterov=True)
    optimizer = make_optimizer(ours, TrainConfig(lr=0.1, weight_decay=0.01))
    for step in range(4):
        images = torch.randn(5, 3)
        for model, its in ((ours, optimizer), (plain, reference)):
            its.zero_grad()
            outputs = model(images) if step > 1 else images @ model.weight  # the bias comes later
            outputs.square().sum().backward()
            its.step()
        torch.testing.assert_close(ours.state_dict(), plain.state_dict())
