"""Sub-nets with normalisation weights of their own."""

import json
from copy import deepcopy
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

import ddnn
from ddnn.config import TrainConfig
from ddnn.errors import DDNNError, ModelFileError
from ddnn.network import joint_call
from ddnn.network.private_norms import is_norm
from ddnn.network.sharing import Part
from ddnn.training.optimization import make_optimizer, parameter_groups
from ddnn_runtime.sealed_json import sealed, unsealed

DEPTHS = {"a": (1, 2, 2), "b": (1, 2, 1), "c": (1, 1, 1)}


def images(batch: int = 4) -> Tensor:
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def build(private: Any = True) -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    return ddnn.build("resnet20", ["resnet8", "resnet14"], num_classes=4, private_norms=private)


def own_parameters(network: ddnn.DepthDynamicNetwork, name: str) -> dict[str, nn.Parameter]:
    """Those that no other net has."""
    others = {id(p) for other in network.names if other != name for p in network[other].parameters()}
    return {key: p for key, p in network[name].named_parameters() if id(p) not in others}


def scatter(network: ddnn.DepthDynamicNetwork) -> None:
    """Give private norms values that nothing else has."""
    with torch.no_grad():
        for name in network.private_norms:
            for parameter in own_parameters(network, name).values():
                parameter.uniform_(0.5, 1.5)


def check_runs_together(network: ddnn.DepthDynamicNetwork, x: Tensor) -> None:
    """`forward_all` gives what separate calls and extracted nets give; logits, gradients and statistics."""
    alone = {name: network.extract(name) for name in network.names}
    one_by_one = deepcopy(network)
    outputs = network.forward_all(x)
    sum(output.logits.square().mean() for output in outputs.values()).backward()
    sum(one_by_one(x, name).square().mean() for name in network.names).backward()
    for name, model in alone.items():
        torch.testing.assert_close(outputs[name].logits, model(x))
        for key, buffer in model.named_buffers():
            torch.testing.assert_close(network[name].get_buffer(key), buffer)
    for (key, parameter), other in zip(network.named_parameters(), one_by_one.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, msg=lambda text, key=key: f"{key}: {text}")


def test_start_as_copies_and_only_past_the_common_prefix() -> None:
    network, shared = build(), build(private=False)
    assert network.private_norms == ("resnet8", "resnet14")
    assert shared.private_norms == ()
    for name in network.names:
        expected = shared[name].state_dict()
        assert network[name].state_dict().keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in network[name].state_dict().items())
    assert network["resnet8"].layer1[0] is network["resnet20"].layer1[0]
    assert network["resnet14"].layer1[1] is network["resnet20"].layer1[1]
    first, full = network["resnet8"].layer2[0], network["resnet20"].layer2[0]
    assert first.bn1.weight is not full.bn1.weight
    assert first.bn1.bias is not network["resnet14"].layer2[0].bn1.bias
    assert first.conv1.weight is full.conv1.weight


def test_add_exactly_the_parameters_of_the_norms_past_the_prefix() -> None:
    network, shared = build(), build(private=False)
    count = sum(p.numel() for p in network.parameters()) - sum(p.numel() for p in shared.parameters())
    past = {"resnet8": {"layer2": 1, "layer3": 1}, "resnet14": {"layer2": 2, "layer3": 2}}
    widths = {"layer2": 32, "layer3": 64}
    # each block has two norms, each with a weight and a bias
    assert count == sum(4 * n * widths[layer] for blocks in past.values() for layer, n in blocks.items())
    own = own_parameters(network, "resnet8")
    assert sorted(own) == sorted(
        f"layer{layer}.0.bn{norm}.{what}" for layer in (2, 3) for norm in (1, 2) for what in ("weight", "bias")
    )


def test_move_independently_and_do_not_decay() -> None:
    network = build()
    decaying, others = (group["params"] for group in parameter_groups(network, 0.1))
    private = {id(p) for name in network.private_norms for p in own_parameters(network, name).values()}
    assert isinstance(decaying, list)
    assert isinstance(others, list)
    assert private <= {id(p) for p in others}
    assert not private & {id(p) for p in decaying}

    before = network["resnet20"].layer3[0].bn1.weight.clone()
    optimizer = make_optimizer(network, TrainConfig())
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    network(images(), "resnet8").square().mean().backward()
    optimizer.step()
    assert torch.equal(network["resnet20"].layer3[0].bn1.weight, before)
    assert torch.equal(network["resnet14"].layer3[0].bn1.weight, before)
    assert not torch.equal(network["resnet8"].layer3[0].bn1.weight, before)
    assert network["resnet8"].layer3[0].conv1.weight is network["resnet20"].layer3[0].conv1.weight


@pytest.mark.parametrize("order", permutations(DEPTHS))
def test_one_private_net_among_three_in_any_order(order: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joint_call, "WEIGHTS_PER_VALUE", 0)  # in one call wherever that can be
    for private in DEPTHS:
        torch.manual_seed(0)
        network = ddnn.build("resnet20", num_classes=3)
        for name in order:
            network.add_subnet(name, DEPTHS[name], private_norms=name == private)
        scatter(network)
        assert network.private_norms == (private,)
        full, a, b, c = (network[name] for name in ("resnet20", "a", "b", "c"))
        assert (a.layer2[1] is b.layer2[1]) == (private == "c")  # what a and b have and the full net lacks
        assert (b.layer2[0] is c.layer2[0]) == (private == "a")
        assert full.layer1[0] is a.layer1[0] is b.layer1[0] is c.layer1[0]
        assert own_parameters(network, private)
        assert not any(own_parameters(network, name) for name in DEPTHS if name != private)
        check_runs_together(network.double(), images().double())


def test_some_of_the_nets_can_run() -> None:
    network = ddnn.build("resnet20", DEPTHS, num_classes=3, private_norms=["b", "c"]).eval()
    scatter(network)
    for names in (["a", "b"], ["b", "c"], ["a", "b", "c"], ["b", "resnet20"], ["b"]):
        for name, output in network.forward_all(images(), names).items():
            torch.testing.assert_close(output.logits, network(images(), name))


def test_recomputed_and_compiled() -> None:
    network = build()
    scatter(network)
    expected = network.eval().forward_all(images())
    compiled = torch.compile(network.forward_all, fullgraph=True, backend="eager")(images())
    recomputed = network.forward_all(images(), recompute=True)
    for name, output in expected.items():
        torch.testing.assert_close(compiled[name].logits, output.logits)
        torch.testing.assert_close(recomputed[name].logits, output.logits)


def test_ties_survive_to_and_deepcopy() -> None:
    network = build()
    for other in (deepcopy(network), network.to(torch.float64)):
        assert other["resnet8"].layer3[0].bn1.weight is not other["resnet20"].layer3[0].bn1.weight
        assert other["resnet8"].layer3[0].conv1.weight is other["resnet20"].layer3[0].conv1.weight
        assert other.private_norms == network.private_norms


def test_frozen_norms_stay_frozen() -> None:
    for network in (ddnn.build("resnet20"), ddnn.build("densenet100_bc", growth=4)):
        network[network.full].requires_grad_(False)
        network.add_subnet("tiny", tuple(1 for _ in network.depths[network.full]), private_norms=True)
        assert not any(parameter.requires_grad for parameter in network.parameters())
        assert not any(parameter.requires_grad for parameter in network.extract("tiny").parameters())


class TestDenseNet:
    """Whose sub-nets stand on parts of the full net's tensors."""

    @pytest.fixture
    def network(self) -> ddnn.DepthDynamicNetwork:
        torch.manual_seed(0)
        subnets = {"tiny": (2, 1, 1), "small": (2, 2, 1)}
        network = ddnn.build("densenet40_bc", subnets, num_classes=3, growth=4, private_norms=["tiny"])
        scatter(network)
        return network

    def test_private_norms_are_no_parts(self, network: ddnn.DepthDynamicNetwork) -> None:
        tiny, small = network["tiny"].features, network["small"].features
        assert type(tiny.norm5) is nn.BatchNorm2d
        assert tiny.norm5.weight.shape == tiny.norm5.running_mean.shape
        assert {"weight", "bias"} == {name for name, _ in tiny.norm5.named_parameters()}
        assert not any(isinstance(inner, Part) for m in tiny.modules() if is_norm(m) for inner in m.modules())
        assert any(isinstance(module, Part) for module in tiny.transition1.conv.modules())
        assert any(isinstance(module, Part) for module in small.norm5.modules())
        own = own_parameters(network, "tiny")
        norms = [path for path, module in tiny.named_modules() if is_norm(module)]
        shared = {"norm0", *(path for path in norms if path.startswith("denseblock1"))}
        assert {f"features.{path}.{what}" for path in {*norms} - shared for what in ("weight", "bias")} == set(own)

    def test_runs_together_saves_and_extracts(self, network: ddnn.DepthDynamicNetwork, tmp_path: Path) -> None:
        network.save(tmp_path / "network")
        again = ddnn.load(tmp_path / "network")
        stock = torchvision.models.DenseNet(4, (2, 1, 1), 8, num_classes=3)  # type: ignore[arg-type]
        stock.features.conv0, stock.features.pool0 = nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.Identity()
        stock.load_state_dict(network.extract("tiny").state_dict(), strict=True)
        network.eval()
        assert torch.equal(stock.eval()(images()), network(images(), "tiny"))
        assert torch.equal(again(images(), "tiny"), network(images(), "tiny"))
        check_runs_together(network.train().double(), images().double())


class TestFiles:
    @pytest.fixture
    def network(self) -> ddnn.DepthDynamicNetwork:
        network = build(["resnet8"])
        scatter(network)
        network.forward_all(images())
        return network.eval()

    def test_are_restored_exactly(self, network: ddnn.DepthDynamicNetwork, tmp_path: Path) -> None:
        network.save(tmp_path / "network")
        again = ddnn.load(tmp_path / "network")
        assert again.private_norms == ("resnet8",)
        expected = network.tensors()
        assert again.tensors().keys() == expected.keys()
        assert all(torch.equal(tensor, expected[key]) for key, tensor in again.tensors().items())
        assert all(torch.equal(network(images(), name), again(images(), name)) for name in network.names)
        stored = load_file(tmp_path / "network" / "model.safetensors")
        assert "resnet8/layer3.0.bn1.weight" in stored
        assert "resnet14/layer3.0.bn1.weight" not in stored
        again.save(tmp_path / "again")
        both = [(tmp_path / name / "config.json").read_text() for name in ("network", "again")]
        assert both[0] == both[1]

    def test_an_extracted_net_is_a_stock_model(self, network: ddnn.DepthDynamicNetwork) -> None:
        extracted = network.extract("resnet8")
        stock = ddnn.build("resnet8", num_classes=4)["resnet8"].eval()
        stock.load_state_dict(extracted.state_dict(), strict=True)
        assert torch.equal(stock(images()), network(images(), "resnet8"))

    def test_a_file_of_an_older_version_has_none(self, tmp_path: Path) -> None:
        network = build(private=False)
        network.save(tmp_path)
        config = unsealed((tmp_path / "config.json").read_text())  # nor did it have a checksum
        del config["private_norms"]
        (tmp_path / "config.json").write_text(json.dumps(config))
        assert ddnn.load(tmp_path).private_norms == ()

    @pytest.mark.parametrize("value", [["resnet9"], ["resnet20"], "resnet8", 3, None, [["resnet8"]], [], True])
    def test_a_changed_configuration_is_refused(
        self, network: ddnn.DepthDynamicNetwork, value: object, tmp_path: Path
    ) -> None:
        network.save(tmp_path)
        config = unsealed((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(sealed({**config, "private_norms": value}))
        with pytest.raises(ModelFileError, match=r"damaged|does not fit"):
            ddnn.load(tmp_path)

    def test_start_from_a_checkpoint_of_the_sub_net(self, tmp_path: Path) -> None:
        alone = ddnn.build("resnet8", num_classes=4)["resnet8"]
        with torch.no_grad():
            alone.layer3[0].bn1.weight.fill_(0.25)
        save_file(alone.state_dict(), tmp_path / "resnet8.safetensors")
        weights = {"resnet8": tmp_path / "resnet8.safetensors"}
        network = ddnn.build("resnet20", ["resnet8"], num_classes=4, weights=weights, private_norms=True)
        assert bool((network["resnet8"].layer3[0].bn1.weight == 0.25).all())
        assert not bool((network["resnet20"].layer3[0].bn1.weight == 0.25).any())


class TestOwnModel:
    def test_from_model(self, tmp_path: Path) -> None:
        torch.manual_seed(0)
        stages = ["layer1", "layer2", "layer3", "layer4"]
        model, example = torchvision.models.resnet18(num_classes=3), torch.randn(2, 3, 32, 32)
        depths = {"half": (1, 2, 1, 1), "tiny": (1, 1, 1, 1)}
        network = ddnn.from_model(model, stages, depths, example=example, private_norms=["half"])
        scatter(network)
        assert network.private_norms == ("half",)
        network.save(tmp_path)
        again = ddnn.load(tmp_path, model=torchvision.models.resnet18(num_classes=3))
        assert torch.equal(again(example, "half"), network.eval()(example, "half"))
        check_runs_together(network.train().double(), example.double())

    def test_all_norms_where_the_nets_are_not_known_as_steps(self) -> None:
        class Odd(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.norm = nn.GroupNorm(1, 3)
                self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))

            def forward(self, x: Tensor) -> Tensor:
                return self.body(self.norm(x) if x.mean() > -1e9 else x).mean((2, 3))

        with pytest.warns(UserWarning, match="cannot be described as steps"):
            network = ddnn.from_model(Odd(), ["body"], {"half": (1,)}, example=images(), private_norms=True)
        assert set(own_parameters(network, "half")) == {"norm.weight", "norm.bias"}
        scatter(network)
        check_runs_together(network, images())

    def test_norms_that_share_a_weight_still_do(self) -> None:
        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
                self.first, self.second = nn.GroupNorm(1, 3), nn.GroupNorm(1, 3)
                self.second.weight = self.first.weight

            def forward(self, x: Tensor) -> Tensor:
                return self.second(self.first(self.body(x)).relu()).mean((2, 3))

        half = ddnn.from_model(Tied(), ["body"], {"half": (1,)}, example=images(), private_norms=True)["half"]
        assert half.first.weight is half.second.weight
        assert half.first.bias is not half.second.bias


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["resnet9"], "'resnet9', which is no sub-net here; did you mean resnet8"),
        (["resnet8", "resnet20"], "'resnet20', which is no sub-net here; .*Allowed: resnet8, resnet14"),
        ("resnet8", r"a list of sub-nets such as \['resnet8'\], not 'resnet8'"),
        (None, "True, False or a list"),
        (7, "True, False or a list"),
    ],
)
def test_refuses_with_a_reason(given: Any, message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        build(given)
    model, stages = torchvision.models.resnet18(num_classes=2), ["layer1", "layer2", "layer3", "layer4"]
    subnets = {"resnet8": (1, 1, 1, 1), "resnet14": (2, 1, 1, 1)}
    with pytest.raises(DDNNError, match=message):
        ddnn.from_model(model, stages, subnets, name="resnet20", private_norms=given)


def test_a_network_without_sub_nets_has_none_to_name() -> None:
    assert ddnn.build("resnet20", private_norms=True).private_norms == ()
    with pytest.raises(DDNNError, match="'resnet8', which is no sub-net here; there are none"):
        ddnn.build("resnet20", private_norms=["resnet8"])


def test_what_a_norm_is() -> None:
    class LayerNorm2d(nn.Module):
        pass

    norms = [nn.BatchNorm1d(2), nn.SyncBatchNorm(2), nn.InstanceNorm2d(2, affine=True), nn.LayerNorm(2)]
    norms += [nn.GroupNorm(1, 2), nn.RMSNorm(2), LayerNorm2d(), torchvision.models.convnext.LayerNorm2d(2)]
    assert all(map(is_norm, norms))
    others = [nn.Linear(2, 2), nn.Sequential(norms[0]), nn.PReLU(), nn.MultiheadAttention(2, 1)]
    others += [torchvision.ops.FrozenBatchNorm2d(2), torchvision.ops.Conv2dNormActivation(2, 2)]
    assert not any(map(is_norm, others))


def test_norms_of_timm() -> None:
    layers = pytest.importorskip("timm.layers")
    names = ["BatchNormAct2d", "GroupNormAct", "LayerNorm2d", "RmsNorm", "SimpleNorm", "EvoNorm2dS0"]
    assert all(is_norm(getattr(layers, name)(32)) for name in names)
    assert not is_norm(layers.ConvNormAct(3, 3))
