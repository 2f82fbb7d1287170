"""Exports in other forms: without data, each graph one file, other operators, half precision."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import ddnn
from ddnn.config import ExportConfig
from ddnn.deployment import Runtime, export_onnx
from ddnn.deployment.agreement import HALF_TOLERANCE
from ddnn_runtime.manifest import Manifest
from tests.end_to_end.command import run
from tests.exports import small_network


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    return torch.randn(3, 3, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("one_file", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_every_form_gives_what_pytorch_gives(
    tmp_path: Path, images: torch.Tensor, one_file: bool, precision: str
) -> None:
    network = small_network()
    network.data_spec = None
    opset = 20 if one_file else 18
    export_onnx(network, tmp_path / "export", images, one_file=one_file, precision=precision, opset=opset)  # pyright: ignore[reportArgumentType]
    manifest = Manifest.read(tmp_path / "export")
    assert (manifest.precision, manifest.opset, manifest.weights is None) == (precision, opset, one_file)
    assert (tmp_path / "export" / "weights.bin").exists() is not one_file
    runtime = Runtime(tmp_path / "export", threads=1)
    for name in network.names:
        with torch.no_grad():
            expected = network(images, name).numpy()
        allowed = (HALF_TOLERANCE if precision == "fp16" else 1e-4) * max(1.0, float(np.abs(expected).max()))
        for logits in (runtime(images, name), runtime.cascade(images, last=name).logits):
            assert logits.dtype == np.float32
            assert np.abs(logits - expected).max() <= allowed
    alone = onnx.load(tmp_path / "export" / "resnet20.onnx", load_external_data=not one_file)
    assert alone.opset_import[0].version == opset
    bits = {tensor.data_type for tensor in alone.graph.initializer if tensor.name.endswith("weight")}
    assert bits == {onnx.TensorProto.FLOAT16 if precision == "fp16" else onnx.TensorProto.FLOAT}


def test_a_saved_network_exports_without_data(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ddnn.build("resnet14", subnets=["resnet8"], num_classes=3).save(tmp_path / "network")
    result = run(capfd, "export", tmp_path / "network", "--output", tmp_path / "export", "--pieces", "false")
    assert result.status == 0, result.err
    assert "on random numbers" in " ".join(result.out.split())
    assert "normalisation unknown: " in result.out
    runtime = Runtime(tmp_path / "export")
    assert runtime.class_names is None
    assert runtime(np.zeros((1, 3, 32, 32), np.float32), "resnet8").shape == (1, 3)
    keys = ("--mean", "[0.5,0.4,0.3]", "--std", "[0.2,0.2,0.2]", "--image_size", 16, "--pieces", "false", "--json")
    result = run(capfd, "export", tmp_path / "network", "--output", tmp_path / "known", *keys)
    assert result.status == 0, result.err
    found = json.loads(result.out)
    assert (found["normalisation"], found["compared_on"]) == ("known", "random numbers")
    data = Manifest.read(tmp_path / "known").data
    assert data is not None
    assert (data.size, data.mean, data.class_names) == ((16, 16), (0.5, 0.4, 0.3), ("0", "1", "2"))


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ddnn.DDNNError, match="mean and std belong together"):
        ExportConfig(mean=[0.5])
    with pytest.raises(ddnn.DDNNError, match="leave them out with --format torch"):
        ExportConfig(format="torch", precision="fp16")
    with pytest.raises(ddnn.DDNNError, match="opset must be 18 to 23"):
        ExportConfig(opset=12)
    small_network().save(tmp_path / "network")
    with pytest.raises(ddnn.DDNNError, match="says its image size and normalisation itself: leave out mean, std"):
        ddnn.export(tmp_path / "network", mean=[0.5] * 3, std=[0.5] * 3)
