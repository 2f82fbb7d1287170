"""Switching, sharing, adding, extracting and saving, on small nets."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import ddnn
from ddnn.errors import DDNNError, ModelFileError
from ddnn_runtime.sealed_json import sealed, unsealed

DEPTHS = st.tuples(*[st.integers(1, 3)] * 3).filter(lambda depth: depth != (3, 3, 3))


@pytest.fixture
def network() -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    return ddnn.build("resnet20", ["resnet8", "resnet14"], num_classes=4)


def images(batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def test_names_go_from_shallow_to_deep() -> None:
    subnets = {"wide_end": (1, 1, 2), "tiny": (1, 1, 1), "wide_start": (2, 1, 1)}
    assert ddnn.build("resnet14", subnets).names == ("tiny", "wide_end", "wide_start", "resnet14")


@settings(max_examples=15, deadline=None)
@given(st.lists(DEPTHS, min_size=1, max_size=5, unique=True), st.booleans())
def test_any_set_of_depths_runs_together_as_alone(depths: list[tuple[int, ...]], training: bool) -> None:
    network = ddnn.build("resnet20", {f"net{i}": depth for i, depth in enumerate(depths)}, num_classes=3)
    network.double().train(training)
    alone = {name: network.extract(name) for name in network.names}
    outputs = network.forward_all(images().double())
    for name, model in alone.items():
        torch.testing.assert_close(outputs[name].logits, model(images().double()))
        for key, buffer in model.named_buffers():
            torch.testing.assert_close(network[name].get_buffer(key), buffer)


def test_subnets_share_a_prefix_that_the_full_net_leaves_earlier() -> None:
    network = ddnn.build("resnet20", {"a": (1, 2, 2), "b": (1, 2, 1)})
    assert network["a"].layer2[1] is network["b"].layer2[1]
    assert network["a"].layer2[1] is not network["resnet20"].layer2[1]
    assert network["a"].layer3[0] is not network["resnet20"].layer3[0]
    assert network["a"].layer3[0].conv1.weight is network["resnet20"].layer3[0].conv1.weight


def test_some_of_the_nets_can_run(network: ddnn.DepthDynamicNetwork) -> None:
    network.eval()
    outputs = network.forward_all(images(), ["resnet20", "resnet8"])
    assert list(outputs) == ["resnet8", "resnet20"]
    torch.testing.assert_close(outputs["resnet8"].logits, network(images(), "resnet8"))


def test_ties_survive_to_and_deepcopy(network: ddnn.DepthDynamicNetwork) -> None:
    for other in (deepcopy(network), network.to(torch.float64), network.float()):
        assert other["resnet8"].layer1[0] is other["resnet20"].layer1[0]
        assert other["resnet8"].layer3[0].conv1.weight is other["resnet20"].layer3[0].conv1.weight
        assert other["resnet8"].layer3[0].bn1 is not other["resnet20"].layer3[0].bn1
        assert other["resnet8"].layer3[0].bn1.weight is other["resnet20"].layer3[0].bn1.weight


def test_a_frozen_module_stays_frozen(network: ddnn.DepthDynamicNetwork) -> None:
    network["resnet20"].bn1.eval()
    network["resnet20"].layer3[0].bn1.eval()
    network.add_subnet("middle", (1, 2, 2))
    assert not network["middle"].bn1.training
    assert not network["middle"].layer3[0].bn1.training
    assert network["middle"].layer3[0].bn2.training


def test_a_network_made_of_a_model_in_evaluation_mode_is_in_evaluation_mode() -> None:
    model = torchvision.models.resnet18(num_classes=5).eval()
    network = ddnn.from_model(model, ["layer1", "layer2", "layer3", "layer4"], {"half": (1, 1, 1, 1)})
    assert not any(module.training for module in network.modules())


def test_weights_that_a_model_ties_itself_are_stored_once(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1))
            self.body[1].weight = self.body[0].weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x).mean((2, 3))

    network = ddnn.from_model(Tied(), ["body"], {"half": (1,)})
    network.save(tmp_path / "tied")
    again = ddnn.load(tmp_path / "tied", model=Tied())
    assert torch.equal(again(images(), "half"), network(images(), "half"))


def test_the_full_net_starts_like_the_same_net_alone() -> None:
    torch.manual_seed(3)
    alone = torchvision.models.resnet34(num_classes=6)
    torch.manual_seed(3)
    full = ddnn.build("resnet34", ["resnet18"], num_classes=6)["resnet34"]
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), full.parameters(), strict=True))


def test_forward_all_compiles_in_one_piece(network: ddnn.DepthDynamicNetwork) -> None:
    compiled = torch.compile(network.forward_all, fullgraph=True, backend="eager")
    for name, output in compiled(images()).items():
        torch.testing.assert_close(output.logits, network.forward_all(images())[name].logits)


@pytest.mark.parametrize("options", [{"stem": "small"}, {}], ids=["small", "imagenet"])
def test_options_and_other_channels(options: dict[str, str], tmp_path: Path) -> None:
    network = ddnn.build("resnet34", ["resnet18"], num_classes=3, in_channels=1, **options).eval()
    grey = torch.randn(1, 1, 32, 32)
    network.save(tmp_path / "network")
    again = ddnn.load(tmp_path / "network").eval()
    assert torch.equal(network(grey, "resnet18"), again(grey, "resnet18"))
    features = network.forward_all(grey)["resnet34"].features
    assert features[0].shape[-1] == (32 if options else 8)


@pytest.mark.parametrize("shortcut", ["A", "B"])
def test_shortcuts_of_the_cifar_resnets(shortcut: str) -> None:
    network = ddnn.build("resnet14", ["resnet8"], num_classes=3, shortcut=shortcut, width=2)
    assert network["resnet8"].layer3[0].conv1.weight.shape[0] == 128
    shortcuts = [name for name, _ in network["resnet14"].named_parameters() if "downsample" in name]
    assert bool(shortcuts) == (shortcut == "B")


class TestAddSubnet:
    def test_calibration_gives_a_new_depth_its_own_statistics(self, network: ddnn.DepthDynamicNetwork) -> None:
        batches = [torch.randn(8, 3, 16, 16) * 2 + 1 for _ in range(3)]
        before = {key: value.clone() for key, value in network.state_dict().items()}
        network.add_subnet("middle", (1, 2, 2), calibrate_with=batches)
        assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())
        assert network.training
        assert network["middle"].layer3[0].bn1.momentum == 0.1

        seen: dict[str, list[torch.Tensor]] = {}
        for batch in batches:  # a copy whose private norms take over the statistics of this one batch
            copy = network.extract("middle").eval()
            others = {module for name in ("resnet8", "resnet14", "resnet20") for module in network[name].modules()}
            for path, module in network["middle"].named_modules():
                if isinstance(module, nn.BatchNorm2d) and module not in others:
                    norm = copy.get_submodule(path).train()
                    norm.momentum = 1.0
                    seen.setdefault(path, [])
            copy(batch)
            for path, values in seen.items():
                values.append(copy.get_buffer(f"{path}.running_var").clone())
        assert seen
        for path, values in seen.items():
            actual = network["middle"].get_buffer(f"{path}.running_var")
            torch.testing.assert_close(actual, torch.stack(values).mean(0))

    def test_members_are_found_by_name(self, network: ddnn.DepthDynamicNetwork) -> None:
        full = ddnn.build("resnet32", ["resnet8"])
        full.add_subnet("resnet20")
        assert full.names == ("resnet8", "resnet20", "resnet32")

    @pytest.mark.parametrize(
        ("name", "depth", "message"),
        [
            ("resnet8", (1, 2, 1), "already"),
            ("same", (2, 2, 2), "resnet14"),
            ("too/odd", (1, 2, 1), "letters"),
            ("big", (4, 3, 3), "does not nest"),
            ("short", (1, 1), "3 stages"),
            ("empty", (0, 1, 1), "at least one block"),
        ],
    )
    def test_refuses(self, network: ddnn.DepthDynamicNetwork, name: str, depth: tuple[int, ...], message: str) -> None:
        with pytest.raises(DDNNError, match=message):
            network.add_subnet(name, depth)

    def test_refuses_an_empty_calibration(self, network: ddnn.DepthDynamicNetwork) -> None:
        with pytest.raises(DDNNError, match="no batch"):
            network.add_subnet("middle", (1, 2, 2), calibrate_with=())
        assert "middle" not in network


@pytest.mark.parametrize(
    ("full", "subnets", "options", "message"),
    [
        ("resnet43", [], {}, "did you mean resnet44"),
        ("resnet50", ["resnet34"], {}, "resnet34 does not nest.*other shapes"),
        ("resnet34", ["resnet19"], {}, "did you mean resnet18"),
        ("resnet34", ["resnet34"], {}, "full net itself"),
        ("resnet20", ["resnet32"], {}, "more blocks"),
        ("resnet20", {"a": (1, 1, 1), "b": (1, 1, 1)}, {}, "same depth"),
        ("resnet20", ["resnet8", "resnet8"], {}, "named twice"),
        ("resnet20", "resnet8", {}, "list of names"),
        ("resnet20", ["resnet8"], {"stem": "small"}, "unknown option 'stem'.*shortcut"),
        ("resnet34", [], {"stem": "tiny"}, "imagenet or small"),
        ("resnet20", [], {"num_classes": 0}, "num_classes"),
        ("resnet20", {"resnet20": (1, 1, 1)}, {}, "name of another net"),
    ],
)
def test_refuses_with_a_reason(full: str, subnets: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ddnn.build(full, subnets, **options)  # type: ignore[arg-type]


def test_nothing_is_built_for_a_request_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def build(*_: object) -> None:
        pytest.fail("a model was built")

    monkeypatch.setattr("ddnn.families.resnet.TorchvisionResNet.build", build)
    for full, subnets in (("resnet50", ["resnet34"]), ("resnet34", {"deep": (4, 4, 6, 3)}), ("resnet34", ["resnet19"])):
        with pytest.raises(ValueError, match=r"does not nest|unknown model"):
            ddnn.build(full, subnets)  # type: ignore[arg-type]


def test_an_unknown_subnet_is_named(network: ddnn.DepthDynamicNetwork) -> None:
    with pytest.raises(ValueError, match="no sub-net 'resnet9'; did you mean resnet8"):
        network(images(), "resnet9")


class TestFiles:
    @pytest.fixture
    def saved(self, network: ddnn.DepthDynamicNetwork, tmp_path: Path) -> Path:
        network.save(tmp_path / "network")
        return tmp_path / "network"

    def test_holds_each_weight_once_and_the_full_net_under_its_stock_names(
        self, network: ddnn.DepthDynamicNetwork, saved: Path
    ) -> None:
        from safetensors.torch import load_file

        tensors = load_file(saved / "model.safetensors")
        stock = {name: tensor for name, tensor in tensors.items() if "/" not in name}
        network.extract("resnet20").load_state_dict(stock, strict=True)
        assert all("running" in name or "num_batches" in name for name in tensors if "/" in name)

    def test_no_other_file_is_left(self, saved: Path) -> None:
        assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]

    def test_a_truncated_weight_file_is_refused(self, saved: Path) -> None:
        weights = saved / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-100])
        with pytest.raises(ModelFileError, match=r"model\.safetensors is damaged"):
            ddnn.load(saved)

    def test_an_edited_weight_file_is_refused(self, saved: Path) -> None:
        content = bytearray((saved / "model.safetensors").read_bytes())
        content[-5] ^= 1
        (saved / "model.safetensors").write_bytes(content)
        with pytest.raises(ModelFileError, match="checksum"):
            ddnn.load(saved)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"weights": 3}'])
    def test_a_damaged_configuration_is_refused(self, saved: Path, text: str) -> None:
        (saved / "config.json").write_text(text)
        with pytest.raises(ModelFileError, match=r"config\.json is damaged"):
            ddnn.load(saved)

    @pytest.mark.parametrize(
        ("key", "value", "message"),
        [
            ("format", 99, "format 99"),
            ("family", "nonet", "unknown family"),
            ("num_classes", 9, "does not fit"),
            ("depths", {"resnet20": [3, 3, 3]}, "does not fit"),
            ("depths", {"resnet8": [1, 1, 1]}, "damaged"),
        ],
    )
    def test_a_changed_configuration_is_refused(self, saved: Path, key: str, value: object, message: str) -> None:
        config = unsealed((saved / "config.json").read_text())
        (saved / "config.json").write_text(sealed({**config, key: value}))
        with pytest.raises(ModelFileError, match=message):
            ddnn.load(saved)

    def test_a_configuration_that_was_edited_by_hand_is_refused(self, saved: Path) -> None:
        text = (saved / "config.json").read_text()
        (saved / "config.json").write_text(text.replace('"num_classes": 4', '"num_classes": 5'))
        with pytest.raises(ModelFileError, match="its checksum differs: it was edited or damaged"):
            ddnn.load(saved)

    def test_a_missing_directory_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelFileError, match="holds no network"):
            ddnn.load(tmp_path / "nowhere")

    def test_loading_leaves_the_seed_alone(self, saved: Path) -> None:
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        ddnn.load(saved)
        assert torch.equal(torch.rand(3), expected)
