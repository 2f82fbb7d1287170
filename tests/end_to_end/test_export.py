"""`ddnn export`, and what goes on from an export."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ddnn
from ddnn.deployment import Manifest, Runtime, export_onnx, export_torch
from tests.end_to_end.command import refused, run
from tests.exports import SPEC, shared_export, small_network
from tests.processes import completed


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on digits that has not learnt much."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    config = ddnn.TrainConfig(full="resnet14", subnets=["resnet8"], epochs=1, train_images=200, output=str(folder))
    result = ddnn.train(config, progress=False)
    nets = {name: {"accuracy": 0.5} for name in result.network.names}
    (folder / "results.json").write_text(json.dumps({"nets": nets}))
    return folder


def test_exports_a_run(digits_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = run(capfd, "export", digits_run, "--output", tmp_path / "export", "--json")
    assert result.status == 0, result.err
    document = json.loads(result.out)
    assert document["bytes"] <= 1.03 * document["full_net_bytes"]
    assert document["largest_difference"] <= 1e-4
    runtime = Runtime(tmp_path / "export")
    assert runtime.class_names == tuple("0123456789")
    assert [net.accuracy for net in runtime.manifest.nets.values()] == [0.5, 0.5]
    assert "exists already" in refused(run(capfd, "export", digits_run, "--output", tmp_path / "export"))
    assert [path.name for path in tmp_path.iterdir()] == ["export"]


def test_programs_of_torch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ddnn.build("resnet14", subnets=["resnet8"], num_classes=7).eval()
    network.data_spec = SPEC
    export = export_torch(network, tmp_path / "export", torch.randn(1, 3, 32, 32))
    assert export.difference == 0
    assert Manifest.read(tmp_path / "export").kind == "torch"
    images = torch.randn(3, 3, 32, 32)
    files = {"ddnn.json": ""}
    program = torch.export.load(tmp_path / "export" / "resnet14.pt2", extra_files=files)
    torch.testing.assert_close(program.module()(images), network(images, "resnet14"), rtol=0, atol=1e-5)
    assert json.loads(json.loads(files["ddnn.json"])["class_names"]) == list(SPEC.class_names)
    with pytest.raises(ddnn.DDNNError, match="export with --format onnx"):
        Runtime(tmp_path / "export")


class TwoBlocks(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stage = torch.nn.Sequential(*(torch.nn.Conv2d(3, 3, 1) for _ in range(2)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.stage(x).mean((2, 3))


class CountsItsImages(TwoBlocks):
    """A model of which no graph can be made for any number of images."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) * len(x)


def in_two_depths(model: torch.nn.Module) -> ddnn.DepthDynamicNetwork:
    return ddnn.from_model(model, stages=["stage"], subnets={"half": (1,)})


def test_what_cannot_be_exported_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="run one by one"):
        network = in_two_depths(CountsItsImages())
    with pytest.raises(ddnn.DDNNError, match=r"cannot be exported to ONNX.*use x.shape\[0\] in place of len\(x\)"):
        export_onnx(network, tmp_path / "export", torch.randn(2, 3, 8, 8))
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_differs_is_not_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddnn.deployment.agreement.TOLERANCE", -1.0)
    with pytest.raises(ddnn.DDNNError, match="does not agree with PyTorch: logits differ by"):
        export_torch(in_two_depths(TwoBlocks()), tmp_path / "export", torch.randn(2, 3, 8, 8))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def test_predicts_the_same_from_a_network_and_an_export(
    pictures: Path, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    small_network().save(tmp_path / "network")
    (tmp_path / "list.txt").write_text("".join(f"pictures/{number}.png\n" for number in range(3)))
    keys = ("--subnet", "resnet14", "--top", 2, "--batch-size", 2, "--json")
    found = [
        run(capfd, "predict", place, images, *keys)
        for place in (tmp_path / "network", shared_export(tmp_path_factory))
        for images in (pictures, tmp_path / "list.txt")
    ]
    assert [result.status for result in found] == [0] * 4, found
    first, *others = (json.loads(result.out)["predictions"] for result in found)
    assert len(first) == 3
    for other in others:
        assert [p["labels"] for p in other] == [p["labels"] for p in first]
        for one, two in zip(first, other, strict=True):
            assert one["probabilities"] == pytest.approx(two["probabilities"], abs=1e-4)


def test_a_broken_image_does_not_lose_the_others(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    (pictures / "1.png").write_bytes(b"broken")
    result = run(capfd, "predict", shared_export(tmp_path_factory), pictures, "--json")
    assert result.status == 1
    document = json.loads(result.out)
    assert [Path(p["image"]).name for p in document["predictions"]] == ["0.png", "2.png"]
    assert "1.png" in document["unreadable"][0]
    assert result.err.startswith("ddnn: error: Cannot decode")
    assert "Traceback" not in result.err


def test_an_image_that_is_asked_for_twice_is_answered_twice(
    pictures: Path, tmp_path_factory: pytest.TempPathFactory, capfd: pytest.CaptureFixture[str]
) -> None:
    (pictures / "broken.png").write_bytes(b"broken")
    asked = [pictures / name for name in ("1.png", "0.png", "1.png", "broken.png", "2.png", "1.png", "broken.png")]
    for size in (2, 64):
        result = run(capfd, "predict", shared_export(tmp_path_factory), *asked, "--json", "--batch-size", size)
        document = json.loads(result.out)
        found = [Path(prediction["image"]).name for prediction in document["predictions"]]
        assert found == ["1.png", "0.png", "1.png", "2.png", "1.png"]
        first, _, again, _, last = (prediction["probabilities"] for prediction in document["predictions"])
        assert again == pytest.approx(first, abs=1e-6)
        assert last == pytest.approx(first, abs=1e-6)
        assert len(document["unreadable"]) == 2


def test_the_example_runs(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    script = Path(__file__).parents[2] / "examples" / "adaptive_depth.py"
    result = completed(script, shared_export(tmp_path_factory), pictures)
    assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) == 3
    assert all("(resnet" in line for line in result.stdout.splitlines())
    assert len(script.read_text().splitlines()) < 60
