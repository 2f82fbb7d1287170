"""What a run may leave out of its images, every command that reads them afterwards leaves out too."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddnn.cli import main
from tests.end_to_end.command import refused, run

COMMANDS = {
    "evaluate": (),
    "cascade": ("--seconds", 0.1, "--threads", 1),
    "quantize": ("--threads", 1, "--calibration_images", 64),
    "choose": ("--any_depth", "true", "--trials", 1, "--seconds", 0.05, "--threads", 1, "--latency_ms", 1000),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on images of 16x16 pixels, one of each split damaged."""
    root, generator = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    for split, count in (("train", 40), ("val", 20), ("test", 20)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
        damaged = root / split / "cat" / "7.png"
        damaged.write_bytes(damaged.read_bytes()[:60])
    output = root / "run"
    options = ("--full", "resnet14", "--subnets", "resnet8", "--epochs", "1", "--max_corrupt", "1")
    assert main(["train", "--data", f"folder:{root}", *options, "--output", str(output)]) == 0
    return output


@pytest.mark.parametrize("command", COMMANDS)
def test_it_takes_what_the_run_took_unless_told_otherwise(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], command: str
) -> None:
    place = {"evaluate": (), "choose": ("--report", tmp_path / "here")}.get(command, ("--output", tmp_path / "here"))
    strict = run(capfd, command, trained, *COMMANDS[command], *place, "--max_corrupt", 0)
    assert "Cannot decode" in refused(strict._replace(err=strict.err.strip().splitlines()[-1]))
    assert not (tmp_path / "here").exists()
    result = run(capfd, command, trained, *COMMANDS[command], *place, "--json")
    assert result.status == 0, result.err
    assert "left out (1 of at most 1" in result.err
