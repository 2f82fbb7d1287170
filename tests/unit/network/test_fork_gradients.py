"""The mean at forks against gradients of nets one by one, and against the rule of the paper for a chain."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

import ddnn
from ddnn.families.family import common_prefix
from ddnn.network import joint_call
from ddnn.network.fork_gradients import scaled

CHAIN = {"one": (1, 3, 3), "two": (2, 3, 3)}
TREE = {"tiny": (1, 1, 1), "wide": (1, 1, 3), "middle": (2, 1, 2), "long": (3, 1, 1)}


def build(subnets: dict[str, tuple[int, ...]], full: str = "resnet20", **options: object) -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    return ddnn.build(full, subnets, num_classes=5, **options).double().train()


def images() -> Tensor:
    return torch.randn(6, 3, 16, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def loss_of(logits: Tensor, features: tuple[Tensor, ...] = ()) -> Tensor:
    return logits.square().mean() + sum((feature.square().mean() for feature in features), torch.tensor(0.0))


def gradients(network: ddnn.DepthDynamicNetwork) -> dict[str, Tensor]:
    full = network[network.full].named_parameters()
    return {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in full}


def one_by_one(network: ddnn.DepthDynamicNetwork, learners: tuple[str, ...], with_features: bool) -> dict[str, Tensor]:
    """What the mean is: of each step that nets have in common, the mean of the gradients that they give it by
    themselves; where they stand on the same weights with other values, the sum."""
    steps = {name: network.family.steps(network.depths[name]) or [] for name in network.names}
    found = {name: torch.zeros_like(parameter) for name, parameter in network[network.full].named_parameters()}
    for name in learners:
        alone = network.extract(name)
        features = []
        value = images()
        for step in steps[name]:
            value = step.run(alone, value)
            features += [value] if step.ends_stage else []
        loss_of(value, tuple(features) if with_features else ()).backward()
        for place, step in enumerate(steps[name]):
            together = sum(common_prefix(steps[name], steps[other]) > place for other in learners)
            for path in step.paths:
                for inner, parameter in alone.get_submodule(path).named_parameters():
                    assert parameter.grad is not None
                    found[f"{path}.{inner}"] += parameter.grad / together
    return found


@pytest.mark.parametrize("subnets", [CHAIN, TREE], ids=["chain", "tree"])
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("with_features", [False, True])
def test_it_is_the_mean_of_what_the_nets_give_alone(
    subnets: dict[str, tuple[int, ...]], recompute: bool, with_features: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(joint_call, "WEIGHTS_PER_VALUE", 0)  # in one call wherever that can be
    network = build(subnets)
    expected = one_by_one(network, network.names, with_features)
    outputs = network.forward_all(images(), recompute=recompute, fork_gradients="mean")
    sum(loss_of(out.logits, out.features if with_features else ()) for out in outputs.values()).backward()  # type: ignore[union-attr]
    torch.testing.assert_close(gradients(network), expected, rtol=1e-8, atol=1e-11)


def test_nets_that_only_teach_do_not_count_and_get_no_gradient() -> None:
    network = build(TREE)
    learners = network.names[:-1]
    expected = one_by_one(network, learners, with_features=True)
    separate = {name: network.extract(name)(images()) for name in network.names}
    outputs = network.forward_all(images(), fork_gradients="mean", teaching=["resnet20"])
    assert not outputs["resnet20"].logits.requires_grad
    torch.testing.assert_close({name: out.logits for name, out in outputs.items()}, separate)
    sum(loss_of(outputs[name].logits, outputs[name].features) for name in learners).backward()  # type: ignore[union-attr]
    torch.testing.assert_close(gradients(network), expected, rtol=1e-8, atol=1e-11)
    own = network["resnet20"].get_parameter("layer2.2.conv1.weight")
    assert own.grad is None, "no net that learns stands on it"


def test_statistics_are_counted_once_also_where_one_teaches() -> None:
    network, together = build(TREE), build(TREE)
    network.forward_all(images(), teaching=["resnet20"])
    together.forward_all(images())
    torch.testing.assert_close(dict(network.named_buffers()), dict(together.named_buffers()))


def by_the_paper(network: ddnn.DepthDynamicNetwork) -> None:
    """Backpropagation along the chain, each fork with the factors of the paper: 1/(n-i) and (n-i-1)/(n-i)."""

    def times(value: Tensor, factor: float) -> Tensor:
        value = value * 1
        value.register_hook(lambda gradient: gradient * factor)
        return value

    def rest(net: nn.Module, value: Tensor, first: int) -> Tensor:
        for block in list(net.get_submodule("layer1"))[first:]:  # type: ignore[call-overload]
            value = block(value)
        for path in ("layer2", "layer3", "avgpool"):
            value = net.get_submodule(path)(value)
        return net.get_submodule("fc")(value.flatten(1))

    nets = [network[name] for name in network.names]
    value = nets[0].get_submodule("relu")(nets[0].get_submodule("bn1")(nets[0].get_submodule("conv1")(images())))
    total, n = torch.tensor(0.0, dtype=torch.float64), len(nets)
    for i, net in enumerate(nets):
        value = net.get_submodule(f"layer1.{i}")(value)
        total = total + loss_of(rest(net, times(value, 1 / (n - i)), i + 1))
        value = times(value, (n - i - 1) / (n - i))
    total.backward()


def test_along_a_chain_it_is_the_rule_of_the_paper() -> None:
    network, reference = build(CHAIN), build(CHAIN)
    by_the_paper(reference)
    outputs = network.forward_all(images(), fork_gradients="mean")
    sum(loss_of(output.logits) for output in outputs.values()).backward()  # type: ignore[union-attr]
    torch.testing.assert_close(gradients(network), gradients(reference), rtol=1e-8, atol=1e-11)


def test_values_may_be_lists_and_norms_private() -> None:
    densenet = build({"tiny": (2, 1, 1), "middle": (3, 2, 1)}, "densenet40_bc", growth=4)
    private = build(TREE, private_norms=["middle"])
    for network, step in ((densenet, "features.conv0"), (private, "conv1")):
        apart = []
        for name in network.names:
            alone = network.extract(name)
            loss_of(alone(images())).backward()
            apart.append(alone.get_parameter(f"{step}.weight").grad)
        outputs = network.forward_all(images(), fork_gradients="mean")
        sum(loss_of(output.logits) for output in outputs.values()).backward()  # type: ignore[union-attr]
        found = network[network.full].get_parameter(f"{step}.weight").grad
        torch.testing.assert_close(found, sum(apart) / len(apart), rtol=1e-8, atol=1e-11)  # type: ignore[arg-type]


def test_the_sum_is_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(TREE)
    plain = deepcopy(network)
    for net, more in ((network, {"fork_gradients": "sum"}), (plain, {})):
        sum(out.logits.square().mean() for out in net.forward_all(images(), **more).values()).backward()  # type: ignore[union-attr]
    assert all(torch.equal(gradient, gradients(plain)[name]) for name, gradient in gradients(network).items())


def test_values_pass_unchanged() -> None:
    x = torch.randn(3, requires_grad=True)
    assert scaled(x, 1) is x
    assert torch.equal(scaled(x, 0.3), x)
    first, second = scaled([x, x], 0.5)
    (first + 2 * second).sum().backward()
    assert x.grad is not None
    assert x.grad.tolist() == [1.5] * 3


class Branching(nn.Module):
    """A model that cannot be told apart into steps."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x) if float(x.sum()) < 1e9 else x
        return x.mean(dim=(2, 3))


def test_nets_that_run_one_by_one_have_no_forks() -> None:
    with pytest.warns(UserWarning, match="one by one"):
        network = ddnn.from_model(Branching(), ["blocks"], {"one": (1,)})
    with pytest.raises(ddnn.DDNNError, match=r"fork_gradients mean is not possible for full.*one by one; leave it out"):
        network.forward_all(images().float(), fork_gradients="mean")
    outputs = network.forward_all(images().float(), teaching=["full"])
    assert outputs["one"].logits.requires_grad
    assert not outputs["full"].logits.requires_grad
