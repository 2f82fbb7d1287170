"""The thousand classes of ImageNet through the whole path: decode, augment, train, save, go on, evaluate, predict."""

import json
import shutil
from pathlib import Path

import pytest

from tests.data_paths import find_data
from tests.end_to_end.command import run

OPTIONS = {
    "image_size": 65, "batch_size": 8, "validation": 0, "epochs": 1, "limit": 2, "workers": 0, "device": "cpu",
    "full": "resnet18", "subnets": "{tiny: [1, 1, 1, 1]}", "ema": 0.9, "max_corrupt": 1, "accumulate": 2,
    "augment.mixup": 0.2, "augment.cutmix": 1.0, "augment.policy": "trivialaugment", "augment.erase": 0.25,
    "augment.repeats": 2, "augment.sizes": "{0: 72}",
}  # fmt: skip


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample as ImageNet's train/ and val/."""
    sample, root = find_data("imagenet1k_sample"), tmp_path_factory.mktemp("imagenet")
    (root / "val").symlink_to(sample)
    (root / "train").symlink_to(sample)
    return root


def test_the_sample_goes_through_the_whole_path(
    imagenet: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    options = [text for key, value in OPTIONS.items() for text in (f"--{key}", str(value))]
    trained = run(
        capfd, "train", "--data", "imagenet", "--data_root", imagenet, *options, "--output", tmp_path / "run", "--json"
    )
    assert trained.status == 0, trained.err
    nets = json.loads(trained.out)["nets"]
    assert {name: net["images"] for name, net in nets.items()} == {"tiny": 16, "resnet18": 16}  # limit: two batches
    shutil.rmtree(tmp_path / "run" / "network")
    assert run(capfd, "train", "--resume", tmp_path / "run", "--json").status == 0
    evaluated = run(capfd, "evaluate", tmp_path / "run", "--workers", 0, "--json")
    assert evaluated.status == 0, evaluated.err
    assert json.loads(evaluated.out)["nets"]["tiny"]["images"] == 1000
    image = next((imagenet / "val" / "n01440764").iterdir())
    predicted = run(capfd, "predict", tmp_path / "run", image, "--json")
    assert predicted.status == 0, predicted.err
    assert "n0" in predicted.out
