import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ddnn.deployment import Manifest, Runtime
from ddnn.errors import ModelFileError
from ddnn_runtime.manifest import MANIFEST, WEIGHTS
from ddnn_runtime.sealed_json import sealed, unsealed
from tests.exports import NAMES, SPEC


def test_says_all_that_a_consumer_needs(export: Path) -> None:
    manifest = Manifest.read(export)
    assert manifest.names == NAMES
    assert manifest.data == SPEC
    assert manifest.input_shape == (3, 32, 32)
    assert [net.depth for net in manifest.nets.values()] == [(1, 1, 1), (2, 2, 2), (3, 3, 3)]
    assert manifest.nets["resnet14"].accuracy == 0.9
    assert {file.name for file in export.iterdir()} == {MANIFEST, *(file.file for file in manifest.files)}
    assert sum(piece.macs for piece in manifest.pieces if "resnet14" in piece.nets) == manifest.nets["resnet14"].macs


def test_each_graph_says_it_too(export: Path) -> None:
    graph = onnx.load(export / "resnet8.onnx", load_external_data=False)
    facts = {entry.key: entry.value for entry in graph.metadata_props}
    assert json.loads(facts["class_names"]) == list(SPEC.class_names)
    assert json.loads(facts["mean"]) == list(SPEC.mean)
    assert json.loads(facts["input_shape"]) == ["batch", 3, 32, 32]
    assert (facts["input"], facts["output"], facts["net"]) == ("images", "logits", "resnet8")
    assert [value.name for value in graph.graph.input] == ["images"]
    assert [value.name for value in graph.graph.output] == ["logits"]
    assert graph.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert graph.opset_import[0].version == Manifest.read(export).opset


def test_no_path_of_this_machine_gets_into_a_graph(export: Path) -> None:
    here = str(Path(__file__).resolve().parents[3]).encode()
    for file in export.iterdir():
        assert here not in file.read_bytes(), file


def test_weights_have_their_stock_names_and_one_place(export: Path, network: object) -> None:
    places: dict[str, set[tuple[str, str]]] = {}
    for name in NAMES:
        graph = onnx.load(export / f"{name}.onnx", load_external_data=False).graph
        stock = network[name].state_dict()  # type: ignore[index]
        for tensor in graph.initializer:
            if tensor.external_data:
                assert tuple(tensor.dims) == stock[tensor.name].shape
                fields = {entry.key: entry.value for entry in tensor.external_data}
                assert fields["location"] == WEIGHTS
                places.setdefault(tensor.name, set()).add((fields["offset"], fields["length"]))
    assert "layer3.0.conv1.weight" in places
    assert all(len(found) == 1 for found in places.values())


@pytest.mark.parametrize("name", [WEIGHTS, "resnet14.onnx", "piece.0.onnx"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "changed"])
def test_a_damaged_export_is_refused(copied: Path, name: str, damage: str) -> None:
    path = copied / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    with pytest.raises(ModelFileError, match=re.escape(str(path)) + " is (missing|damaged)"):
        Runtime(copied)


def without(*keys: str) -> Callable[[str], str]:
    return changed(lambda values: {key: value for key, value in values.items() if key not in keys})


def changed(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[str], str]:
    return lambda text: sealed(change(unsealed(text)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[:100], "is damaged"),
        (lambda _: "[]", "is damaged"),
        (lambda _: "", "is damaged"),
        (without("nets"), "is damaged"),
        (without("format"), "is damaged"),
        (lambda text: text.replace('"format": 1', '"format": 2'), "its checksum differs"),
        (changed(lambda values: {**values, "format": 2}), r"has format 2; this version of ddnn reads 1"),
        (lambda text: text.replace('"resnet14.onnx"', '"resnet8.onnx"'), "is damaged"),
        (changed(lambda values: {**values, "kind": "torch"}), "--format onnx"),
        (
            lambda text: sealed(json.loads(json.dumps(unsealed(text)).replace("resnet14.onnx", "../x.onnx"))),
            "a path inside the export",
        ),
    ],
)
def test_a_damaged_manifest_is_refused(copied: Path, change: Callable[[str], str], message: str) -> None:
    path = copied / MANIFEST
    path.write_text(change(path.read_text()))
    with pytest.raises(ValueError, match=message):
        Runtime(copied)


def test_an_export_can_be_moved(copied: Path, runtime: Runtime) -> None:
    images = np.zeros((1, 3, 32, 32), dtype=np.float32)
    moved = copied.rename(copied.with_name("elsewhere"))
    assert np.array_equal(Runtime(moved, threads=1)(images), runtime(images))
