"""A thousand classes of ImageNet as shards, from the folder to the scores: on this machine, and from a server."""

import json
from pathlib import Path

import pytest

from tests.data_paths import find_data
from tests.end_to_end.command import refused, run
from tests.processes import completed
from tests.unit.data.shards.server import Server

OPTIONS = {
    "image_size": 65, "batch_size": 16, "validation": 0, "epochs": 1, "limit": 1, "workers": 1, "device": "cpu",
    "full": "resnet18", "subnets": "{tiny: [1, 1, 1, 1]}", "augment.mixup": 0.2, "augment.repeats": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shards of 40 classes of the sample, each image being a training and a test image."""
    root = tmp_path_factory.mktemp("shards")
    for split in ("train", "val"):
        (root / "folder" / split).mkdir(parents=True)
        for folder in sorted(find_data("imagenet1k_sample").iterdir())[:40]:
            (root / "folder" / split / folder.name).symlink_to(folder)
    command = ["-m", "ddnn.data.shards", "write", root / "folder", root / "shards"]
    written = completed(*command, "--shard-size-mib", "0.1")
    assert written.returncode == 0, written.stderr
    assert "is called ddnn shards now" in written.stderr
    assert f"{root / 'shards'}: 80 images of 40 classes in " in written.stdout
    return root / "shards"


def train(capfd: pytest.CaptureFixture[str], data: str, output: Path, *options: object) -> dict:
    words = [text for key, value in OPTIONS.items() for text in (f"--{key}", str(value))]
    trained = run(capfd, "train", "--data", data, *words, *options, "--output", output, "--json")
    assert trained.status == 0, trained.err
    return json.loads(trained.out)["nets"]


def evaluate(capfd: pytest.CaptureFixture[str], *arguments: object) -> dict:
    evaluated = run(capfd, "evaluate", *arguments, "--json")
    assert evaluated.status == 0, evaluated.err
    return json.loads(evaluated.out)["nets"]


def test_train_and_evaluate_here_and_from_a_server(
    shards: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    here = train(capfd, f"shards:{shards}", tmp_path / "here")
    with Server(shards) as server:
        data, cache = f"shards:{server.url}", ("--shards.cache", tmp_path / "cache", "--shards.block", 100)
        remote = train(capfd, data, tmp_path / "remote", *cache)
        scores = evaluate(capfd, tmp_path / "remote")
        assert {name: net["images"] for name, net in scores.items()} == {"tiny": 40, "resnet18": 40}
        assert evaluate(capfd, tmp_path / "remote", "--data", f"folder:{shards.parent / 'folder'}") == scores
        assert max(count for path, count in server.sent.items() if path.endswith(".tar")) == 1
    assert here.keys() == remote.keys()


def test_what_a_person_may_do_wrong(shards: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = shards.parent / "folder"
    assert f"ddnn shards index {folder}" in refused(run(capfd, "train", "--data", f"shards:{folder}"))
    assert "did you mean shards:PATH" in refused(run(capfd, "train", "--data", "shard:x"))
    assert "shards.block must be 1 or more" in refused(run(capfd, "train", "--shards.block", 0))
    assert "shards.cache_gib must be over 0" in refused(run(capfd, "train", "--shards.cache_gib", 0))
