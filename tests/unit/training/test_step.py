"""The joint step: on the nets that are asked for, and the same compiled as not."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional

import ddnn
from ddnn.config import EKDConfig
from ddnn.objectives import EKD, Joint, SubnetRamp
from ddnn.objectives.objective import net_weights
from ddnn.training.averaged_teacher import AveragedTeacher
from ddnn.training.draw import alternating
from ddnn.training.step import TrainingStep

SUBNETS = {"resnet8": (1, 1, 1), "middle": (2, 1, 2), "resnet14": (2, 2, 2)}
OBJECTIVE = EKD(EKDConfig(alpha=1.0, beta=0.1, ramp_epochs=4))
AVERAGED = EKD(EKDConfig(alpha=0.25, beta=0.0, temperature=2.0, teacher="average"))
EPOCH = torch.tensor(1.0, dtype=torch.float64)
PARTS = (("kl", 0.25), ("attention", 0.025))  # alpha and beta at that epoch
Counting = Callable[[str], CompileCounterWithBackend]


def batch(size: int = 6, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, 16, 16, generator=generator, dtype=dtype)
    return images, torch.randint(10, (size,), generator=generator)


@pytest.fixture
def network() -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    return ddnn.build("resnet20", SUBNETS, num_classes=10).train()


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the checks of annotated shapes, which tests alone have: they cannot be compiled."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, unchecked: None) -> Counting:
    """Has torch compile with another backend, in one graph or not at all; counts the graphs."""
    real = torch.compile

    def install(backend: str) -> CompileCounterWithBackend:
        counter = CompileCounterWithBackend(backend)

        def compile(function: Any, *, dynamic: bool, mode: str | None) -> Any:
            assert mode is None
            return real(function, dynamic=dynamic, backend=counter, fullgraph=True)

        monkeypatch.setattr(torch, "compile", compile)
        return counter

    return install


def gradients(network: ddnn.DepthDynamicNetwork, loss: Tensor) -> dict[str, Tensor]:
    names, parameters = zip(*network.named_parameters(), strict=True)
    return dict(zip(names, torch.autograd.grad(loss, parameters), strict=True))


def test_the_loss_is_that_of_the_drawn_nets(network: ddnn.DepthDynamicNetwork) -> None:
    images, labels = batch()
    before = deepcopy(network.state_dict())
    loss = TrainingStep(network, Joint())(images, labels, torch.tensor(0.0), ("resnet8", "resnet14", "resnet20"))
    alone = {name: functional.cross_entropy(network(images, name), labels) for name in network.names}
    expected = alone["resnet20"] + (alone["resnet8"] + alone["resnet14"]) / 2
    torch.testing.assert_close(loss.total, expected)
    assert set(loss.parts) == {"ce/resnet8", "ce/resnet14", "ce/resnet20"}
    assert before.keys() == network.state_dict().keys()


def test_the_statistics_of_a_net_that_is_not_drawn_stay(network: ddnn.DepthDynamicNetwork) -> None:
    own = network["middle"].get_buffer("layer3.1.bn2.running_mean")
    drawn = network["resnet8"].get_buffer("layer3.0.bn2.running_mean")
    before = own.clone(), drawn.clone()
    TrainingStep(network, OBJECTIVE)(*batch(), torch.tensor(1.0), ("resnet8", "resnet20"))
    assert torch.equal(own, before[0])
    assert not torch.equal(drawn, before[1])


def test_compiled_it_is_one_graph_that_serves_every_step(network: ddnn.DepthDynamicNetwork, counting: Counting) -> None:
    counter = counting("eager")
    step = TrainingStep(network, OBJECTIVE, compile=True)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    images, labels = batch()
    for number in range(8):
        optimizer.zero_grad()
        step(images + number, labels, torch.tensor(number / 2), network.names).total.backward()
        optimizer.step()
    assert counter.frame_count == 1


def test_compiled_each_set_of_nets_is_one_graph_while_sub_nets_grow(counting: Counting) -> None:
    counter = counting("eager")
    network = ddnn.build("resnet14", ["resnet8"], num_classes=10).train()
    plain = deepcopy(network)
    config = EKDConfig(alpha=1.0, teacher="next", divergence="alpha")
    objective = EKD(config, loss_weights="sum", subnet_ramp=SubnetRamp(1.0, 3.0))
    step, own = TrainingStep(network, objective, compile=True), TrainingStep(plain, objective)
    for epoch, names in ((0.0, ("resnet14",)), (0.5, ("resnet14",)), (2.0, network.names), (3.0, network.names)):
        loss, expected = (take(*batch(), torch.tensor(epoch), names) for take in (step, own))
        torch.testing.assert_close(loss.total, expected.total)
    assert counter.frame_count == 2


def test_an_average_that_teaches_none_of_the_nets_is_not_run(network: ddnn.DepthDynamicNetwork) -> None:
    teacher = AveragedTeacher(network, 0.9)
    objective = EKD(EKDConfig(teacher="average", teach_full=False))
    step = TrainingStep(network, objective, teacher=teacher)
    runs: list[int] = []
    teacher.register_forward_hook(lambda *_: runs.append(1))
    assert set(step(*batch(), torch.tensor(0.0), ("resnet20",)).parts) == {"ce/resnet20"}
    assert not runs
    assert "kl/resnet8" in step(*batch(), torch.tensor(0.0), ("resnet8", "resnet20")).parts
    assert runs == [1]


def test_another_batch_size_is_compiled_once_more(network: ddnn.DepthDynamicNetwork, counting: Counting) -> None:
    counter = counting("eager")
    step = TrainingStep(network, OBJECTIVE, compile=True)
    for size in (6, 4, 6, 4):
        step(*batch(size), torch.tensor(1.0), ("resnet8", "resnet20"))
    assert counter.frame_count == 2


@pytest.mark.parametrize("names", [("resnet8", "middle", "resnet14", "resnet20"), ("middle", "resnet20")])
def test_compiled_loss_and_gradients_are_those_of_the_plain_step(
    network: ddnn.DepthDynamicNetwork, counting: Counting, names: tuple[str, ...]
) -> None:
    counting("aot_eager")
    plain, compiled = deepcopy(network).double(), network.double()
    images, labels = batch(dtype=torch.float64)
    epoch = torch.tensor(1.0, dtype=torch.float64)
    expected = TrainingStep(plain, OBJECTIVE)(images, labels, epoch, names)
    loss = TrainingStep(compiled, OBJECTIVE, compile=True)(images, labels, epoch, names)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients(compiled, loss.total), gradients(plain, expected.total), rtol=1e-8, atol=1e-10)
    torch.testing.assert_close(dict(compiled.named_buffers()), dict(plain.named_buffers()))


def test_more_programs_than_torch_keeps_for_one_function(counting: Counting) -> None:
    counter = counting("eager")
    for number in range(10):
        network = ddnn.build("resnet8", num_classes=10)
        TrainingStep(network, Joint(), compile=True)(*batch(), torch.tensor(0.0), network.names)
        assert counter.frame_count == number + 1


def test_a_mode_reaches_torch(network: ddnn.DepthDynamicNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def compile(function: Any, *, dynamic: bool, mode: str | None) -> Any:
        asked.append(mode)
        return function

    monkeypatch.setattr(torch, "compile", compile)
    for choice in (True, "reduce-overhead", False):
        TrainingStep(network, Joint(), choice)(*batch(), torch.tensor(0.0), ("resnet8", "resnet20"))
    assert asked == [None, "reduce-overhead"]


@pytest.mark.parametrize(
    "objective", [OBJECTIVE, Joint(loss_weights={"middle": 2.0}), AVERAGED], ids=lambda o: type(o).__name__
)
def test_in_a_step_of_subnets_they_learn_as_beside_the_full_net_which_rests(
    network: ddnn.DepthDynamicNetwork, objective: EKD | Joint
) -> None:
    images, labels = batch(dtype=torch.float64)
    together, apart = deepcopy(network).double(), network.double()
    *subnets, full = network.names
    teacher = None if objective.teacher_decay is None else AveragedTeacher(together, 0.9)
    whole = TrainingStep(together, objective, teacher=teacher)(images, labels, EPOCH, network.names)
    expected = sum(
        weight * (whole.parts[f"ce/{name}"] + sum(own * whole.parts.get(f"{part}/{name}", 0.0) for part, own in PARTS))
        for name, weight in net_weights(network.names, objective.loss_weights).items()
        if name != full
    )
    teachers = (full,) if objective.full_teaches else ()
    loss = TrainingStep(apart, objective, teacher=teacher)(images, labels, EPOCH, tuple(subnets), teachers)
    torch.testing.assert_close(loss.total, expected)
    loss.total.backward()
    learnt = {id(parameter) for name in subnets for parameter in apart[name].parameters()}
    for parameter in apart.parameters():
        assert (parameter.grad is not None) == (id(parameter) in learnt)
    assert any(parameter.grad is None for parameter in apart.parameters())


@pytest.mark.parametrize("recompute", [False, True])
def test_in_a_step_of_the_full_net_it_learns_from_labels(network: ddnn.DepthDynamicNetwork, recompute: bool) -> None:
    images, labels = batch()
    own = network["resnet8"].get_buffer("layer3.0.bn2.running_mean").clone()
    step = TrainingStep(network, OBJECTIVE, recompute=recompute)
    loss = step(images, labels, EPOCH.float(), ("resnet20",))
    torch.testing.assert_close(loss.total, functional.cross_entropy(network(images), labels))
    assert torch.equal(network["resnet8"].get_buffer("layer3.0.bn2.running_mean"), own)
    subnets = step(images, labels, EPOCH.float(), network.names[:-1], ("resnet20",))
    assert subnets.total.requires_grad


def test_compiled_steps_in_turn_are_two_programs_that_serve_every_step(counting: Counting) -> None:
    counter = counting("eager")
    network = ddnn.build("resnet14", ["resnet8"], num_classes=10).train()
    step = TrainingStep(network, OBJECTIVE, compile=True, fork_gradients="mean")
    for number in range(6):
        lesson = alternating(network.names, number, full_teaches=True)
        step(*batch(), torch.tensor(number / 2), *lesson).total.backward()
    assert counter.frame_count == 2


@pytest.mark.slow
def test_compiled_a_step_of_subnets_gives_the_gradients_of_the_plain_one(counting: Counting) -> None:
    counting("aot_eager")
    plain = ddnn.build("resnet14", {"resnet8": (1, 1, 1), "middle": (2, 1, 1)}, num_classes=10).double().train()
    compiled = deepcopy(plain)
    images, labels = batch(dtype=torch.float64)
    for net, compile in ((plain, False), (compiled, True)):
        step = TrainingStep(net, OBJECTIVE, compile, fork_gradients="mean")
        step(images, labels, EPOCH, net.names[:-1], ("resnet14",)).total.backward()
    for (name, own), other in zip(compiled.named_parameters(), plain.parameters(), strict=True):
        assert (own.grad is None) == (other.grad is None), name
        if own.grad is not None:
            torch.testing.assert_close(own.grad, other.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
def test_what_inductor_makes_is_the_plain_step_too(network: ddnn.DepthDynamicNetwork) -> None:
    images, labels = batch()
    plain = deepcopy(network)
    expected = TrainingStep(plain, OBJECTIVE)(images, labels, torch.tensor(1.0), network.names)
    loss = TrainingStep(network, OBJECTIVE, compile=True)(images, labels, torch.tensor(1.0), network.names)
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-5)
    ours, theirs = (
        torch.cat([gradient.flatten() for gradient in gradients(net, own.total).values()])
        for net, own in ((network, loss), (plain, expected))
    )
    assert (ours - theirs).norm() < 0.01 * theirs.norm()


def test_channels_last_gives_the_same_loss_and_gradients(network: ddnn.DepthDynamicNetwork) -> None:
    images, labels = batch(dtype=torch.float64)
    plain, other = deepcopy(network).double(), network.double().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    epoch = torch.tensor(1.0, dtype=torch.float64)
    expected = TrainingStep(plain, OBJECTIVE)(images, labels, epoch, network.names)
    loss = TrainingStep(other, OBJECTIVE)(
        images.contiguous(memory_format=torch.channels_last), labels, epoch, network.names
    )
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradients(other, loss.total), gradients(plain, expected.total), rtol=1e-8, atol=1e-10)


def test_bfloat16_keeps_each_part_within_its_rounding(network: ddnn.DepthDynamicNetwork) -> None:
    images, labels = batch(64)
    plain = TrainingStep(deepcopy(network), OBJECTIVE)(images, labels, torch.tensor(4.0), network.names)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = TrainingStep(network, OBJECTIVE)(images, labels, torch.tensor(4.0), network.names)
    assert mixed.total.dtype == torch.float32
    torch.testing.assert_close(mixed.total, plain.total, rtol=1e-2, atol=0)
    torch.testing.assert_close(mixed.parts, plain.parts, rtol=2e-2, atol=1e-3)
