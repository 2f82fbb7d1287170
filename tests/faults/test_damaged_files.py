"""Saved files that were cut short, zeroed in places or have wrong bits: refused with one message, or of no effect."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import ddnn
from ddnn import DDNNError, TrainConfig, train
from ddnn.deployment import Runtime
from ddnn.runs.run_directory import RunDirectory
from tests.repeats import environment_number

EDITABLE = ("config.yaml", "metrics.csv", "results.json")
"""What people may edit, and no checksum guards; damaged, it is refused or read as it stands."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and an export of it."""
    folder = tmp_path_factory.mktemp("made")
    run = train(
        TrainConfig(full="resnet14", subnets="resnet8", epochs=1, train_images=100, output=str(folder / "run")),
        progress=False,
    )
    from ddnn.deployment import export_onnx

    export_onnx(run.network, folder / "export", images=torch.randn(2, 1, 8, 8))
    torch.save(run.network.extract("resnet14").state_dict(), folder / "weights.pt")
    (folder / "run" / "results.json").write_text(json.dumps({"nets": {"resnet14": {"accuracy": 0.5}}}))
    return folder


def damaged(content: bytes, chance: random.Random) -> bytes:
    """One of the things that happen to files."""
    changed = bytearray(content)
    place = chance.randrange(len(changed))
    match chance.choice(["cut", "bit", "zeros", "byte", "empty" if chance.random() < 0.1 else "bit"]):
        case "cut":
            del changed[place:]
        case "bit":
            changed[place] ^= 1 << chance.randrange(8)
        case "zeros":
            changed[place : place + 64] = bytes(len(changed[place : place + 64]))
        case "byte":
            changed[place] = chance.randrange(256)
        case "empty":
            changed.clear()
    return bytes(changed)


def _same_network(path: Path, whole: Path) -> None:
    network = ddnn.load(path)
    expected = load_file(whole / "model.safetensors")
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network.tensors().items())


def _resume(path: Path) -> None:
    """Go on with a run of which there is one checkpoint."""
    (path / "checkpoints" / "last-1.ckpt").unlink(missing_ok=True)
    directory = RunDirectory(path)
    config = directory.read_config()
    assert directory.good_checkpoint() is not None
    assert config.epochs >= 1


def _run_export(path: Path) -> None:
    runtime = Runtime(path)
    for name in runtime.names:
        runtime(torch.zeros(1, 1, 8, 8).numpy(), subnet=name)


def _start_from(path: Path, whole: Path) -> None:
    """Its archive has bytes that mean nothing, so it may be read; then as if nothing were wrong."""
    network = ddnn.build("resnet14", subnets=["resnet8"], num_classes=10, in_channels=1, weights=str(path))
    expected = torch.load(whole, weights_only=True)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in network["resnet14"].state_dict().items())


def cases(made: Path) -> dict[Path, Callable[[Path], None]]:
    """What reads each file, given the folder or file that a person would name."""
    run, export = made / "run", made / "export"
    files: dict[Path, Callable[[Path], None]] = {
        run / "network" / name: lambda copy: _same_network(copy / "run" / "network", run / "network")
        for name in ("model.safetensors", "config.json")
    }
    files[run / "checkpoints" / "last.ckpt"] = lambda copy: _resume(copy / "run")
    files[run / "config.yaml"] = lambda copy: _resume(copy / "run")
    files[run / "metrics.csv"] = lambda copy: RunDirectory(copy / "run").append_metrics({"epoch": 2})
    files[run / "results.json"] = lambda copy: RunDirectory(copy / "run").read_accuracies()
    files[made / "weights.pt"] = lambda copy: _start_from(copy / "weights.pt", made / "weights.pt")
    files |= {path: lambda copy: _run_export(copy / "export") for path in export.rglob("*") if path.is_file()}
    return files


@pytest.mark.parametrize("count", [40, pytest.param(environment_number("DDNN_DAMAGED", 400), marks=pytest.mark.slow)])
def test_none_is_accepted_silently(count: int, made: Path, tmp_path: Path) -> None:
    chance, outcomes = random.Random(count), Counter[str]()
    files = cases(made)
    for number in range(count):
        path = list(files)[number % len(files)]
        content = damaged(path.read_bytes(), chance)
        if content == path.read_bytes():
            continue
        copy = tmp_path / "copy"
        shutil.copytree(made, copy)
        (copy / path.relative_to(made)).write_bytes(content)
        try:
            files[path](copy)
            outcomes[f"{path.name} read"] += 1
            assert path.name in (*EDITABLE, "weights.pt"), f"{path.relative_to(made)} was accepted"
        except DDNNError as error:
            outcomes["refused"] += 1
            assert "Traceback" not in str(error)  # noqa: PT017
        shutil.rmtree(copy)
    print(f"\n{outcomes.total()} damaged files: {dict(outcomes)}")
