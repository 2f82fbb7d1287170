"""What an earlier version wrote still opens, and means the same: tests/files/README.md says how it was made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import ddnn
from ddnn.deployment import Runtime
from tests.end_to_end.command import run

BEFORE = Path(__file__).parent.parent / "files" / "loose_modules"


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """A copy that a command may write into."""
    return Path(shutil.copytree(BEFORE, tmp_path / "before"))


def printed(capfd: pytest.CaptureFixture[str], *arguments: object) -> dict[str, object]:
    result = run(capfd, *arguments, "--json")
    assert result.status == 0, result.err
    return json.loads(result.out)


def test_a_run_scores_what_it_scored(before: Path, capfd: pytest.CaptureFixture[str]) -> None:
    then = json.loads((before / "run" / "results.json").read_text())["nets"]
    now = printed(capfd, "evaluate", before / "run")["nets"]
    assert isinstance(now, dict)
    for name, scores in then.items():
        assert now[name]["images"] == scores["images"]
        assert now[name]["accuracy"] == pytest.approx(scores["accuracy"], abs=1.5 / scores["images"])
        assert now[name]["nll"] == pytest.approx(scores["nll"], abs=1e-4)


def test_an_export_answers_as_its_network() -> None:
    network, runtime = ddnn.load(BEFORE / "run"), Runtime(BEFORE / "export")
    images = torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert runtime.names == network.names
    for name in network.names:
        with torch.no_grad():
            expected = network(images, name).numpy()
        np.testing.assert_allclose(runtime(images.numpy(), name), expected, atol=1e-4)


def test_a_profile_is_still_chosen_from(before: Path, capfd: pytest.CaptureFixture[str]) -> None:
    chosen = run(capfd, "choose", before / "run", "--on", before / "profile", "--runtime", "onnx", "--latency_ms", 1e6)
    assert chosen.status == 0, chosen.err
    assert "densenet40_bc" in chosen.out


def test_a_calibrated_cascade_goes_into_a_new_export(before: Path, capfd: pytest.CaptureFixture[str]) -> None:
    exported = run(capfd, "export", before / "run", "--output", before / "new")
    assert exported.status == 0, exported.err
    cascade = json.loads((before / "new" / "export.json").read_text())["cascade"]
    assert cascade["last"] == "densenet40_bc"


def test_a_checkpoint_is_resumed_to_the_same_weights(before: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, "train", "--resume", before / "half").status == 0
    expected = load_file(before / "run" / "network" / "model.safetensors")
    actual = load_file(before / "half" / "network" / "model.safetensors")
    assert expected.keys() == actual.keys()
    for name, tensor in expected.items():  # processors add in other orders, so not bit for bit
        torch.testing.assert_close(actual[name], tensor, rtol=0.5, atol=0.5)
