"""What the names of timm's models mean, and what is refused before anything is built."""

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import ddnn
from ddnn.errors import DDNNError
from ddnn.families.timm_layout import ImageLayout, find_stages

timm = pytest.importorskip("timm")

VIT = {"num_classes": 5, "img_size": 32}


@pytest.mark.parametrize(
    ("model", "stages", "depth"),
    [
        ("resnet34", "layer1 layer2 layer3 layer4", (3, 4, 6, 3)),
        ("convnext_atto", "stages.0.blocks stages.1.blocks stages.2.blocks stages.3.blocks", (2, 2, 6, 2)),
        (
            "swin_tiny_patch4_window7_224",
            "layers.0.blocks layers.1.blocks layers.2.blocks layers.3.blocks",
            (2, 2, 6, 2),
        ),
        ("vit_tiny_patch16_224", "blocks", (12,)),
        ("regnetx_002", "s1 s2 s3 s4", (1, 1, 4, 7)),
        ("efficientnet_b0", " ".join(f"blocks.{stage}" for stage in range(7)), (1, 2, 2, 3, 3, 4, 1)),
        ("res2net50_26w_4s", "layer1 layer2 layer3 layer4", (3, 4, 6, 3)),
    ],
)
def test_finds_the_stages(model: str, stages: str, depth: tuple[int, ...]) -> None:
    with torch.device("meta"):
        built = timm.create_model(model)
    assert " ".join(find_stages(built, model)) == stages
    assert tuple(len(built.get_submodule(stage)._modules) for stage in stages.split()) == depth


def test_the_full_net_is_what_timm_makes_of_the_same_seed() -> None:
    torch.manual_seed(3)
    network = ddnn.build("timm/resnet34", ["resnet18"], num_classes=5)
    after = torch.rand(1)
    torch.manual_seed(3)
    expected = timm.create_model("resnet34", num_classes=5)
    assert torch.equal(after, torch.rand(1))
    for key, tensor in expected.state_dict().items():
        assert torch.equal(network["resnet34"].state_dict()[key], tensor)


def test_names_with_a_tag_or_the_prefix() -> None:
    network = ddnn.build("timm/resnet34.a1_in1k", ["timm/resnet18.a1_in1k"], num_classes=5)
    assert network.names == ("resnet18_a1_in1k", "resnet34_a1_in1k")
    network.add_subnet("resnet14", (2, 2, 1, 1))
    assert network.names[0] == "resnet14"


def test_adds_a_sub_net_by_its_name_in_timm_and_saves_it(tmp_path: Path) -> None:
    network = ddnn.build("timm/resnet34", num_classes=5, in_channels=1).eval()
    network.add_subnet("resnet18")
    network.save(tmp_path)
    assert network.config()["family"] == "timm"
    assert network.config()["options"] == {"model": "resnet34", "arguments": {}}
    images = torch.randn(1, 1, 32, 32)
    assert torch.equal(ddnn.load(tmp_path).eval()(images, "resnet18"), network(images, "resnet18"))


@pytest.mark.parametrize(
    ("full", "subnets", "message"),
    [
        ("resnet34", ["resnet50"], r"widths differ: layer1\.0\.conv1\.weight has the shape \(64, 64, 1, 1\) there"),
        ("seresnet34", ["resnet18"], r"layer1\.0\.se\..* exists only here"),
        ("resnet101", ["resnetaa50"], r"maxpool is AvgPool2d\(.*\) there and MaxPool2d"),
        ("efficientnet_b1", ["tf_efficientnet_b0"], r"conv_stem is Conv2dSame.* there and Conv2d"),
        ("resnet34", ["convnext_atto"], "the stages are stages.0.blocks"),
        ("resnet34", ["resnet81"], r"no model 'resnet81'; did you mean .*resnet18"),
        ("resnet43", [], r"no model 'resnet43'; did you mean .*resnet34"),
        ("resnet18", ["resnet34"], "does not nest"),
        ("resnet34", {"tiny": (1, 1)}, "4 stages"),
        ("resnet34", ["resnet34"], "full net"),
        ("efficientnet_b0", {"tiny": (1, 1, 1, 1, 1, 1, 0)}, "at least one block"),
        ("densenet121", [], "no stages of blocks"),
        ("rexnet_100", {"tiny": (12,)}, r"changes the shape .* keep at least"),
    ],
)
def test_refuses_with_a_reason(
    full: str, subnets: list[str] | dict[str, tuple[int, ...]], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create = timm.create_model

    def create_sketch(*args: object, **options: object) -> nn.Module:
        model = create(*args, **options)
        assert next(model.parameters()).is_meta, "weights were made for a request that is refused"
        return model

    monkeypatch.setattr(timm, "create_model", create_sketch)
    with pytest.raises(DDNNError, match=message):
        ddnn.build(f"timm/{full}", subnets, num_classes=5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"depht": 3}, "cannot build resnet34 with .*unexpected keyword argument 'depht'"),
        ({"pretrained": True}, "pretrained is no option"),
        ({"in_chans": 1}, "say in_channels"),
        ({"norm_layer": nn.BatchNorm2d}, "norm_layer is a type; options are stored"),
    ],
)
def test_refuses_options(options: dict[str, object], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        ddnn.build("timm/resnet34", ["resnet18"], **options)


def test_says_how_to_install_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(DDNNError, match=r"pip install ddnn\[timm\]"):
        ddnn.build("timm/resnet34")


def test_a_feature_is_an_image_without_the_class_token() -> None:
    network = ddnn.build("timm/vit_tiny_patch16_224", {"one": (1,)}, **VIT).eval()
    images = torch.randn(2, 3, 32, 32)
    (feature,) = network.forward_all(images)["one"].features
    tokens = network["one"].forward_intermediates(images, norm=False, intermediates_only=True)[0]
    assert torch.equal(feature, tokens)
    assert feature.shape == (2, 192, 2, 2)


def test_a_feature_has_its_channels_second() -> None:
    network = ddnn.build("timm/swin_tiny_patch4_window7_224", {"half": (1, 1, 3, 1)}, **VIT, window_size=2).eval()
    images = torch.randn(2, 3, 32, 32)
    features = network.forward_all(images)["swin_tiny_patch4_window7_224"].features
    expected = network["swin_tiny_patch4_window7_224"].forward_intermediates(images, intermediates_only=True)
    for feature, intermediate in zip(features, expected, strict=True):
        assert torch.equal(feature, intermediate)


@pytest.mark.parametrize(
    ("layout", "shape", "expected"),
    [
        (ImageLayout(False, 1, (2, 3)), (5, 7, 4), (5, 4, 2, 3)),
        (ImageLayout(False, 1, (2, 3)), (5, 6, 4), (5, 4, 2, 3)),
        (ImageLayout(False, 1, (2, 3)), (5, 10, 4), (5, 4, 3, 3)),
        (ImageLayout(False, 0, None), (5, 10, 4), (5, 4, 3, 3)),
        (ImageLayout(True, 0, None), (5, 2, 3, 4), (5, 4, 2, 3)),
        (ImageLayout(False, 0, None), (5, 2, 3, 4), (5, 2, 3, 4)),
    ],
)
def test_lays_out(layout: ImageLayout, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    assert layout(torch.zeros(shape)).shape == expected


def test_refuses_tokens_that_are_no_image() -> None:
    with pytest.raises(DDNNError, match="12 tokens, which fill neither the grid"):
        ImageLayout(False, 1, (2, 3))(torch.zeros(5, 12, 4))


def test_a_model_that_cannot_be_traced_runs_one_by_one() -> None:
    options = {**VIT, "dynamic_img_size": True}
    with pytest.warns(UserWarning, match=r"timm's vit_tiny_patch16_224 cannot be described as steps.*torch\.fx"):
        network = ddnn.build("timm/vit_tiny_patch16_224", {"half": (6,)}, **options).eval()
    assert not network.shares_prefix
    images = torch.randn(2, 3, 32, 32)
    output = network.forward_all(images)["half"]
    assert torch.equal(output.logits, network(images, "half"))
    assert output.features[0].shape == (2, 192, 2, 2)


def test_regnets_have_stages_too() -> None:
    network = ddnn.build("timm/regnety_002", {"half": (1, 1, 2, 3)}, num_classes=5).eval()
    images = torch.randn(2, 3, 32, 32)
    assert network.shares_prefix
    assert list(network["half"].s3._modules) == ["b1", "b2"]
    assert torch.equal(network.forward_all(images)["half"].logits, network(images, "half"))


def test_dropout_follows_the_mode() -> None:
    network = ddnn.build("timm/resnet34", ["resnet18"], num_classes=5, drop_rate=0.5)
    assert network.shares_prefix
    images = torch.randn(2, 3, 32, 32)
    torch.manual_seed(0)
    first, second = (network.forward_all(images)["resnet34"].logits for _ in range(2))
    assert not torch.equal(first, second)
    network.eval()
    assert torch.equal(network.forward_all(images)["resnet34"].logits, network(images))
