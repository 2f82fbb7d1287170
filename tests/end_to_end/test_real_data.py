"""Real images from end to end; skipped, with a reason, where they are not at hand."""

import json
from pathlib import Path

import pytest
import torch

import ddnn
from ddnn.config import DataConfig
from ddnn.data import open_data
from tests.data_paths import find_data
from tests.end_to_end.command import run


def test_a_recipe_trains_on_cifar10(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    data = f"parquet:{find_data('cifar10')}"
    few = ("--train_images", 1024, "--epochs", 3, "--batch_size", 32, "--limit", 32, "--full", "resnet14")
    few += ("--subnets", "resnet8")
    result = run(
        capfd, "train", "--config", "cifar10-resnet20", "--data", data, *few, "--output", tmp_path / "r", "--json"
    )
    assert result.status == 0, result.err
    scores = json.loads(result.out)["nets"]
    assert all(score["images"] == 1024 and score["accuracy"] > 0.2 for score in scores.values()), scores
    assert sum(len(labels) for _, labels in open_data(DataConfig(data=data, train_images=64), 0).test("cpu")) == 10_000
    network = ddnn.load(tmp_path / "r")
    assert network.data_spec is not None
    assert network.data_spec.class_names[:3] == ("airplane", "automobile", "bird")


def test_a_resnet_sees_imagenet(tmp_path: Path) -> None:
    (tmp_path / "val").symlink_to(find_data("imagenet1k_sample"))
    config = DataConfig(data=f"folder:{tmp_path}", image_size=96, batch_size=50, workers=1)
    network = ddnn.build("resnet34", ["resnet18"]).eval()
    spec = ddnn.DataSpec(3, (96, 96), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), tuple(_wnids(tmp_path / "val")))
    images, labels = next(iter(open_data(config, seed=0, spec=spec).test("cpu")))
    with torch.inference_mode():
        outputs = network.forward_all(images)
    assert images.shape == (50, 3, 96, 96)
    assert labels.tolist() == list(range(50))
    assert outputs["resnet18"].logits.shape == (50, 1000)


def _wnids(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
