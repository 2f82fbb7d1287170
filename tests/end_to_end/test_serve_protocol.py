"""The Open Inference Protocol, as Triton's own client speaks it, and as a person does with curl."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from ddnn_runtime import Runtime
from ddnn_runtime.serving.predictions import probabilities
from tests.exports import NAMES, SPEC, shared_export
from tests.served import Server, serving, write_profile

triton = pytest.importorskip("tritonclient.http")
IMAGES = np.random.default_rng(0).standard_normal((3, 3, 32, 32)).astype(np.float32)
PIXELS = np.random.default_rng(0).integers(0, 255, (2, 3, 32, 32), dtype=np.uint8)
MODELS = ("letters", *NAMES)


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_export(tmp_path_factory)


@pytest.fixture(scope="module")
def server(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    profile = write_profile(export, tmp_path_factory.mktemp("profile") / "profile.json")
    with serving(export, "--name", "letters", "--max_images", 4, profile=profile) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Any]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as made:
        yield made


@pytest.fixture(scope="module")
def runtime(export: Path) -> Runtime:
    return Runtime(export, threads=1)


def tensor(values: np.ndarray, *, binary: bool = True) -> Any:
    given = triton.InferInput("images", values.shape, "UINT8" if values.dtype == np.uint8 else "FP32")
    given.set_data_from_numpy(values, binary_data=binary)
    return given


def test_the_client_finds_the_server_and_its_models(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["extensions"] == ["binary_tensor_data"]
    for model in MODELS:
        assert client.is_model_ready(model)
        assert client.is_model_ready(model, "1")
        told = client.get_model_metadata(model, "1")
        assert (told["name"], told["versions"]) == (model, ["1"])
        assert told["inputs"] == [{"name": "images", "datatype": "FP32", "shape": [-1, 3, 32, 32]}]
        assert {each["name"]: (each["datatype"], each["shape"]) for each in told["outputs"]} == {
            "logits": ("FP32", [-1, 7]),
            "class": ("INT64", [-1]),
            "probability": ("FP32", [-1]),
        }
    assert not client.is_model_ready("nothing")
    assert not client.is_model_ready("letters", "2")


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("model", MODELS)
def test_logits_are_those_of_python(client: Any, runtime: Runtime, model: str, binary: bool) -> None:
    wanted = None if binary else [triton.InferRequestedOutput("logits", binary_data=False)]
    result = client.infer(model, [tensor(IMAGES, binary=binary)], outputs=wanted, request_id="mine")
    head = result.get_response()
    subnet = "resnet14" if model == "letters" else model
    assert (head["model_name"], head["model_version"], head["id"]) == (model, "1", "mine")
    assert (head["parameters"]["subnet"], head["parameters"]["batch"]) == (subnet, 3)
    np.testing.assert_allclose(result.as_numpy("logits"), runtime(IMAGES, subnet), rtol=0, atol=1e-5)


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_are_normalised_and_classes_come_on_request(client: Any, runtime: Runtime, binary: bool) -> None:
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("class", "probability", "logits")]
    result = client.infer("resnet8", [tensor(PIXELS, binary=binary)], outputs=wanted)
    mean, std = (np.array(values, dtype=np.float32)[:, None, None] for values in (SPEC.mean, SPEC.std))
    logits = runtime((PIXELS / np.float32(255) - mean) / std, "resnet8")
    np.testing.assert_allclose(result.as_numpy("logits"), logits, rtol=0, atol=1e-4)
    assert result.as_numpy("class").tolist() == logits.argmax(axis=1).tolist()
    assert result.as_numpy("class").dtype == np.int64
    np.testing.assert_allclose(result.as_numpy("probability"), probabilities(logits).max(axis=1), atol=1e-4)


def test_wishes_are_parameters(client: Any, server: Server) -> None:
    asked = {"deadline_ms": 60_000.0, "subnet": "resnet20", "least_accuracy": 0.75}
    told = client.infer("letters", [tensor(IMAGES)], parameters=asked).get_response()["parameters"]
    assert told["subnet"] == "resnet20"
    assert 0 < told["slack_ms"] < 60_000


def test_what_the_client_asks_wrongly_is_said(client: Any) -> None:
    for model, values, options, message in (
        ("nothing", IMAGES, {}, "there is no model 'nothing'"),
        ("letters", IMAGES, {"model_version": "2"}, "one version, 1"),
        ("letters", IMAGES[:, :, :16], {}, r"must have the shape \(batch, 3, 32, 32\), not \(3, 3, 16, 32\)"),
        ("letters", np.concatenate([IMAGES, IMAGES]), {}, "at most 4 images"),
        ("letters", IMAGES * np.inf, {}, "image 0 of the batch has numbers that are not finite"),
        ("letters", IMAGES, {"priority": 3}, "nothing called 'priority' to ask for"),
        ("resnet8", IMAGES, {"parameters": {"subnet": "resnet20"}}, "the model resnet8 is one net"),
        ("letters", IMAGES, {"parameters": {"top": 3}}, "no parameter top"),
        ("letters", IMAGES, {"parameters": {"cascade": True}}, "no calibrated cascade"),
        ("letters", IMAGES, {"outputs": [triton.InferRequestedOutput("features")]}, "logits, class or probability"),
        ("letters", IMAGES, {"request_compression_algorithm": "gzip"}, "is no JSON"),
    ):
        with pytest.raises(triton.InferenceServerException, match=message):
            client.infer(model, [tensor(values)], **options)


GOOD = {"name": "images", "shape": [1, 3, 32, 32], "datatype": "FP32"}
BODIES: dict[str, tuple[Any, str]] = {
    "a list": ([], "must be a JSON object"),
    "nothing": ({}, "the request lacks inputs"),
    "no input": ({"inputs": []}, "inputs must be a list of 1 values"),
    "two inputs": ({"inputs": [GOOD, GOOD]}, "inputs must be a list of 1 values"),
    "another input": ({"inputs": [{**GOOD, "name": "pixels", "data": []}]}, "the input is called images, not 'pixels'"),
    "another type": ({"inputs": [{**GOOD, "datatype": "FP64"}]}, "inputs[0].datatype must be FP32 or UINT8"),
    "no data": ({"inputs": [GOOD]}, "images has neither data nor binary_data_size"),
    "few data": ({"inputs": [{**GOOD, "data": [1, 2]}]}, "images has 2 numbers, not the 3072 of its shape"),
    "words": ({"inputs": [{**GOOD, "data": ["a"] * 3072}]}, "the data of images must be numbers"),
    "ragged": ({"inputs": [{**GOOD, "data": [[1], [1, 2]]}]}, "lists of one length"),
    "truths": ({"inputs": [{**GOOD, "data": [True] * 3072}]}, "must be numbers"),
    "too large pixels": ({"inputs": [{**GOOD, "datatype": "UINT8", "data": [256] * 3072}]}, "must be 0 to 255"),
    "parts of pixels": ({"inputs": [{**GOOD, "datatype": "UINT8", "data": [0.5] * 3072}]}, "must be whole numbers"),
    "huge numbers": ({"inputs": [{**GOOD, "data": [10**400] * 3072}]}, "must be numbers"),
    "too large for float32": ({"inputs": [{**GOOD, "data": [1e300] * 3072}]}, "not finite in float32"),
    "flat shape": ({"inputs": [{**GOOD, "shape": [3072], "data": [0] * 3072}]}, "shape must be a list of 4 values"),
    "no size": ({"inputs": [{**GOOD, "shape": [0, 3, 32, 32], "data": []}]}, "shape[0] must be"),
    "huge shape": ({"inputs": [{**GOOD, "shape": [2**32] * 4, "data": []}]}, "images has 0 numbers, not the"),
    "missing bytes": ({"inputs": [{**GOOD, "parameters": {"binary_data_size": 12288}}]}, "0 bytes stand behind"),
    "both": ({"inputs": [{**GOOD, "data": [], "parameters": {"binary_data_size": 0}}]}, "give one of the two"),
    "unknown key": ({"inputs": [GOOD], "extra": 1}, "'extra'"),
}  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_bodies_that_make_no_sense_are_refused(server: Server, body: str) -> None:
    value, message = BODIES[body]
    response = server.client.post("/v2/models/letters/infer", content=json.dumps(value))
    assert (response.status_code, [*response.json()]) == (400, ["error"])
    assert message in response.json()["error"]


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"inputs": NaN}', b"null"])
def test_what_is_no_json_is_refused(server: Server, text: bytes) -> None:
    response = server.client.post("/v2/models/letters/infer", content=text)
    assert response.status_code == 400


@pytest.mark.parametrize("length", ["-1", "x", "999999", "9" * 5000, "3"])
def test_a_header_length_that_makes_no_sense_is_refused(server: Server, length: str) -> None:
    headers = {"Inference-Header-Content-Length": length}
    body = json.dumps({"inputs": [{**GOOD, "data": [0] * 3072}]})
    response: httpx.Response = server.client.post("/v2/models/letters/infer", content=body, headers=headers)
    assert response.status_code == 400
    assert "JSON" in response.json()["error"]


def test_nested_data_are_a_tensor_too(server: Server, runtime: Runtime) -> None:
    body = {"inputs": [{**GOOD, "data": IMAGES[:1].tolist()}], "parameters": {"binary_data_output": False}}
    told = server.client.post("/v2/models/resnet20/versions/1/infer", json=body).raise_for_status().json()
    assert told["outputs"][0]["shape"] == [1, 7]
    np.testing.assert_allclose(told["outputs"][0]["data"], runtime(IMAGES[:1])[0], rtol=0, atol=1e-5)
