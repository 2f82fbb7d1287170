"""`ddnn export --format triton`: read by what NVIDIA's client reads configurations with, and run by onnxruntime."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

import ddnn
from ddnn.config import ExportConfig
from ddnn.deployment.triton import export_triton
from ddnn_runtime import Runtime
from tests.end_to_end.command import refused, run
from tests.exports import NAMES, SPEC, small_network
from tests.shared import made_once

ModelConfig: Any = model_config_pb2.ModelConfig  # pyright: ignore[reportAttributeAccessIssue]  # made when it is imported
FP32 = model_config_pb2.DataType.Value("TYPE_FP32")  # pyright: ignore[reportAttributeAccessIssue]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command writes for a saved network; its output is beside it."""

    def make(folder: Path) -> None:
        small_network().save(folder / "network")
        exported = ddnn.export(folder / "network", folder / "models", format="triton", max_batch=8, progress=False)
        (folder / "result.json").write_text(json.dumps(exported.to_json()))

    return made_once(tmp_path_factory, "triton-repository", make)


def config(repository: Path, name: str) -> Any:
    return text_format.Parse((repository / "models" / name / "config.pbtxt").read_text(), ModelConfig())


@pytest.mark.parametrize("name", NAMES)
def test_configurations_are_what_triton_reads(repository: Path, name: str) -> None:
    found = config(repository, name)
    assert (found.name, found.backend, found.max_batch_size) == (name, "onnxruntime", 8)
    (group,) = found.instance_group
    assert (group.kind, group.count) == (group.KIND_AUTO, 1)
    assert found.HasField("dynamic_batching")
    policy = found.dynamic_batching.default_queue_policy
    assert (policy.timeout_action, policy.allow_timeout_override) == (policy.REJECT, True)
    (warm,) = found.model_warmup
    assert [*warm.inputs["images"].dims] == [3, 32, 32]
    labels = (repository / "models" / name / found.output[0].label_filename).read_text().splitlines()
    assert tuple(labels) == SPEC.class_names


@pytest.mark.parametrize("name", NAMES)
def test_a_folder_alone_gives_what_pytorch_gives(repository: Path, name: str, tmp_path: Path) -> None:
    """As Triton opens it: the one file of the folder, with what the configuration says of it."""
    found, images = config(repository, name), torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    assert [path.name for path in (repository / "models" / name / "1").iterdir()] == ["model.onnx"]
    alone = tmp_path / "model.onnx"
    alone.write_bytes((repository / "models" / name / "1" / "model.onnx").read_bytes())
    session = onnxruntime.InferenceSession(alone, providers=["CPUExecutionProvider"])
    for told, values in ((found.input, session.get_inputs()), (found.output, session.get_outputs())):
        assert [value.name for value in told] == [value.name for value in values]
        assert [[*value.dims] for value in told] == [value.shape[1:] for value in values]
        assert {value.type for value in values} == {"tensor(float)"}
        assert {value.data_type for value in told} == {FP32}
    logits = np.asarray(session.run(None, {"images": images.numpy()})[0])
    with torch.no_grad():
        expected = small_network()(images, name).numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-4)


def test_a_repository_is_an_export_too(repository: Path) -> None:
    result = json.loads((repository / "result.json").read_text())
    assert (result["format"], result["nets"]["resnet8"]["file"]) == ("triton", "resnet8/1/model.onnx")
    runtime = Runtime(repository / "models", threads=1)
    assert (runtime.names, runtime.class_names) == (NAMES, SPEC.class_names)
    assert runtime(np.zeros((2, 3, 32, 32), np.float32), "resnet14").shape == (2, 7)
    names = {path.name for path in (repository / "models").iterdir()}
    assert names == {*NAMES, "README.md", "export.json"}  # nothing else is left
    text = (repository / "models" / "README.md").read_text()
    assert "| `resnet20` | 3 3 3 | " in text
    assert "{" not in text


def test_half_precision_without_a_description(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    ddnn.build("resnet14", subnets=["resnet8"], num_classes=3).save(tmp_path / "network")
    keys = ("--format", "triton", "--precision", "fp16", "--output", tmp_path / "models")
    result = run(capfd, "export", tmp_path / "network", *keys)
    assert result.status == 0, result.err
    words = " ".join(result.out.split())
    assert "a model repository for Triton, ONNX, opset 18, fp16" in words
    assert "each net has a copy of its weights: 0." in words
    found = text_format.Parse((tmp_path / "models" / "resnet8" / "config.pbtxt").read_text(), ModelConfig())
    assert (found.output[0].label_filename, found.max_batch_size) == ("", 16)
    assert not list(tmp_path.glob("models/*/labels.txt"))
    assert "nothing here says how images are prepared" in (tmp_path / "models" / "README.md").read_text()
    assert "exists already" in refused(run(capfd, "export", tmp_path / "network", *keys))


def test_what_triton_has_no_use_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ddnn.DDNNError, match="one_file is for --format onnx"):
        ExportConfig(format="triton", one_file=True)
    with pytest.raises(ddnn.DDNNError, match="max_batch is for --format triton"):
        ExportConfig(max_batch=4)
    monkeypatch.setattr("ddnn.deployment.triton.LARGEST_GRAPH", 1000)
    with pytest.raises(ddnn.DDNNError, match="holds less than 2: give --precision fp16, or export with --format onnx"):
        export_triton(small_network(), tmp_path / "models", torch.randn(2, 3, 32, 32))
    assert not list(tmp_path.iterdir())
