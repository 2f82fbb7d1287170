"""From training to a label, by the command line alone."""

import json
from pathlib import Path

import pytest
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from sklearn.datasets import load_digits

import ddnn
from ddnn.families.cifar_resnet import CifarResNet
from tests.end_to_end.command import run


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "digits"
    ddnn.train(ddnn.TrainConfig(epochs=8, output=str(path)), progress=False)
    return path


def test_train_leaves_a_whole_run_and_prints_json_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    result = run(capfd, "train", "--epochs", 1, "--train_images", 200, "--output", path, "--json")
    assert result.status == 0
    document = json.loads(result.out)
    assert list(document["nets"]) == ["resnet8", "resnet14", "resnet20"]
    assert document == json.loads((path / "results.json").read_text())
    assert "epoch 1/1" in result.err
    left = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()}
    assert left >= {"config.yaml", "metrics.csv", "results.json", "checkpoints/last.ckpt",
                    "network/model.safetensors", "network/config.json"}  # fmt: skip
    assert any(name.startswith("tensorboard/events") for name in left)


def test_every_net_learns_digits(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = run(capfd, "evaluate", trained, "--json")
    scores = json.loads(result.out)["nets"]
    assert all(score["accuracy"] > 0.93 for score in scores.values()), scores
    table = run(capfd, "evaluate", trained)
    assert "resnet14" in table.out
    assert "95 % interval" in table.out


def test_an_extracted_file_is_a_stock_state_dict(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "resnet8.safetensors"
    assert run(capfd, "extract", trained, "--subnet", "resnet8", "--output", path).status == 0
    model = CifarResNet((1, 1, 1), num_classes=10, in_channels=1).eval()
    model.load_state_dict(load_file(path), strict=True)
    x = torch.randn(3, 1, 8, 8)
    assert torch.equal(model(x), ddnn.load(trained).eval()(x, "resnet8"))


def test_predict_names_a_digit(trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    digits = load_digits()
    files = []
    for index in range(10):
        files.append(tmp_path / f"{index}.png")
        Image.fromarray((digits.images[index] * 255 / 16).round().astype("uint8")).save(files[-1])
    result = run(capfd, "predict", trained, *files, "--subnet", "resnet8", "--top", 2, "--json")
    predictions = json.loads(result.out)["predictions"]
    right = [p["labels"][0] == str(digits.target[index]) for index, p in enumerate(predictions)]
    assert sum(right) >= 9
    assert all(len(p["labels"]) == 2 and p["probabilities"][0] >= p["probabilities"][1] for p in predictions)
    assert "probability" in run(capfd, "predict", trained, files[0]).out


def test_a_saved_network_is_as_good_as_a_run(trained: Path, capfd: pytest.CaptureFixture[str]) -> None:
    one = run(capfd, "evaluate", trained / "network", "--data", "digits", "--json")
    other = run(capfd, "evaluate", trained, "--json")
    assert json.loads(one.out)["nets"] == json.loads(other.out)["nets"]


def test_families_lists_every_member(capfd: pytest.CaptureFixture[str]) -> None:
    document = json.loads(run(capfd, "families", "--json").out)
    assert document["resnet_bottleneck"]["members"]["resnet50"]["parameters"] == 25_557_032
    assert "wide_resnet101_2" in run(capfd, "families").out


def test_a_recipe_and_a_run_s_own_configuration_go_by_config(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    few = ("--epochs", 1, "--train_images", 200, "--json")
    assert run(capfd, "train", "--config", "digits", *few, "--output", tmp_path / "a").status == 0
    again = run(capfd, "train", "--config", trained / "config.yaml", *few, "--output", tmp_path / "b")
    assert again.status == 0, again.err


def test_a_pretrained_full_net_becomes_a_network_of_three_depths(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    save_file(torchvision.models.resnet34().state_dict(), tmp_path / "pretrained.safetensors")
    for split in ("train", "val"):
        for label in ("cat", "dog"):
            (tmp_path / "pictures" / split / label).mkdir(parents=True)
            for number in range(3):
                Image.new("RGB", (40, 40), (number * 20, 0, 0)).save(
                    tmp_path / "pictures" / split / label / f"{number}.png"
                )
    data = ("--data", f"folder:{tmp_path / 'pictures'}", "--image_size", 64, "--batch_size", 6, "--validation", 0)
    source = ("--config", "finetune-resnet34", "--weights", tmp_path / "pretrained.safetensors", "--epochs", 1)
    result = run(capfd, "train", *source, *data, "--output", tmp_path / "run", "--json")
    assert result.status == 0, result.err
    assert "1000 classes and this network for 2: its head starts fresh (fc.bias, fc.weight)" in result.err
    assert list(json.loads(result.out)["nets"]) == ["resnet10", "resnet18", "resnet34"]
