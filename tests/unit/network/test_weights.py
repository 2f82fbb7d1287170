"""Starting from weights, with checkpoints that the tests make in the stock layout."""

import re
from pathlib import Path

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

import ddnn
from ddnn.errors import DDNNError, ModelFileError
from ddnn.network.weights import torchvision_weights

X = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


def trained(model: nn.Module, seed: int = 0) -> nn.Module:
    """Running statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            module.running_mean.normal_(generator=generator)
    return model.eval()


def stored(model: nn.Module, path: Path) -> Path:
    save_file(model.state_dict(), path) if path.suffix == ".safetensors" else torch.save(model.state_dict(), path)
    return path


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_the_full_net_is_the_pretrained_model_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    model = trained(torchvision.models.resnet101())
    path = stored(model, tmp_path / f"weights{suffix}")
    network = ddnn.build("resnet101", ["resnet50"], weights=path).eval()
    with torch.no_grad():
        assert torch.equal(network(X), model(X))
    torch.testing.assert_close(network["resnet50"].layer3[1].bn1.running_mean, model.layer3[1].bn1.running_mean)


def test_a_head_for_other_classes_starts_fresh_and_that_is_said(tmp_path: Path) -> None:
    model = trained(torchvision.models.resnet34())
    path = stored(model, tmp_path / "resnet34.pt")
    with pytest.warns(UserWarning, match=r"1000 classes and this network for 10: its head starts fresh \(fc\.bias"):
        network = ddnn.build("resnet34", ["resnet18"], num_classes=10, weights=path)
    assert torch.equal(network["resnet18"].layer4[1].conv2.weight, model.layer4[1].conv2.weight)
    assert network(X).shape == (2, 10)


def test_a_sub_net_s_own_checkpoint_gives_its_running_statistics(tmp_path: Path) -> None:
    full, small = trained(torchvision.models.resnet34()), trained(torchvision.models.resnet18(), seed=1)
    paths = {
        "resnet34": stored(full, tmp_path / "34.pt"),
        "resnet18": stored(small, tmp_path / "18.pt"),
    }
    network = ddnn.build("resnet34", ["resnet18"], weights=paths).eval()
    assert torch.equal(network["resnet18"].layer3[0].bn1.running_mean, small.layer3[0].bn1.running_mean)
    assert torch.equal(network["resnet18"].layer1[0].bn1.running_mean, full.layer1[0].bn1.running_mean)
    assert torch.equal(network["resnet18"].layer3[0].conv1.weight, full.layer3[0].conv1.weight)
    with torch.no_grad():
        assert torch.equal(network(X), full(X))


def test_densenet_in_the_layout_of_torchvision_s_files(tmp_path: Path) -> None:
    model = trained(torchvision.models.densenet121(num_classes=5))
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", k): v for k, v in model.state_dict().items()}
    assert any("norm.1." in name for name in old)
    torch.save(old, tmp_path / "old.pt")
    network = ddnn.build("densenet121", {"half": (3, 6, 12, 8)}, num_classes=5, weights=tmp_path / "old.pt").eval()
    with torch.no_grad():
        assert torch.equal(network(X), model(X))


def test_a_timm_model_in_torchvision_s_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(timm.create_model("resnet34", num_classes=6))
    monkeypatch.setattr(timm, "create_model", lambda name, pretrained: model)
    network = ddnn.build("resnet34", ["resnet18"], num_classes=6, weights="timm/resnet34").eval()
    with torch.no_grad():
        torch.testing.assert_close(network(X), model(X))


def test_torchvision_s_weights_go_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    model = trained(torchvision.models.resnet34())
    kind = type(torchvision_weights("resnet34")["IMAGENET1K_V1"])
    monkeypatch.setattr(kind, "get_state_dict", lambda *_, **__: model.state_dict())
    for name in ("IMAGENET1K_V1", "DEFAULT", "ResNet34_Weights.IMAGENET1K_V1"):
        network = ddnn.build("resnet34", ["resnet18"], weights=name).eval()
    with torch.no_grad():
        assert torch.equal(network(X), model(X))


def test_what_cannot_be_fetched_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    kind = type(torchvision_weights("resnet34")["IMAGENET1K_V1"])
    monkeypatch.setattr(kind, "get_state_dict", offline)
    with pytest.raises(DDNNError, match="could not be fetched: no route to host; download them"):
        ddnn.build("resnet34", ["resnet18"], weights="DEFAULT")


@pytest.mark.parametrize(
    ("full", "weights", "message"),
    [
        ("resnet34", "IMAGENET1K_V9", "torchvision's for resnet34 are IMAGENET1K_V1"),
        ("resnet20", "DEFAULT", "torchvision has none for resnet20"),
        ("resnet34", {"resnet50": "a.pt"}, "'resnet50', which is no net here"),
    ],
)
def test_unknown_names_are_refused(full: str, weights: object, message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        ddnn.build(full, ["resnet8" if full == "resnet20" else "resnet18"], weights=weights)  # type: ignore[arg-type]


def test_refuses_what_is_no_state_dict(tmp_path: Path) -> None:
    torch.save({"model": nn.Linear(2, 2)}, tmp_path / "whole.pt")
    torch.save({"model": 3}, tmp_path / "number.pt")
    (tmp_path / "text.pt").write_text("not weights")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "text.safetensors").write_text("not weights")
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    stored(torchvision.models.resnet34(), tmp_path / "wider.pt")
    for name in ("whole.pt", "number.pt", "text.pt", "empty.pt", "text.safetensors", "missing.pt", "other.pt"):
        with pytest.raises(ModelFileError, match=re.escape(name)):
            ddnn.build("resnet20", ["resnet8"], weights=tmp_path / name)
    with pytest.raises(ModelFileError, match=r"conv1\.weight is .* there"):
        ddnn.build("resnet34", ["resnet18"], in_channels=1, weights=tmp_path / "wider.pt")
