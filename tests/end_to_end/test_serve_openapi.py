"""The server does what its OpenAPI document says, and nothing else, whatever is sent: schemathesis tries."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest

from tests.exports import shared_export
from tests.served import Server, picture, serving, write_profile

KEY = "a key"
CONFIG = f"""
[auth.openapi.key]
api_key = "{KEY}"
[auth.openapi.bearer]
bearer = "{KEY}"
[auth.openapi.basic]
username = "anybody"
password = "{KEY}"
[generation]
allow-extra-parameters = false  # headers that nobody knows are nobody's business
[checks]
# A deadline that is met nowhere is 503; wishes that make sense one by one, and not together, are 400.
not_a_server_error.expected-statuses = ["2xx", "4xx", "503"]
positive_data_acceptance.expected-statuses = ["2xx", "400", "503"]
negative_data_rejection.expected-statuses = ["400", "401", "404", "405", "413", "503"]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("openapi")
    export = Path(shutil.copytree(shared_export(tmp_path_factory), folder / "letters"))  # which is reloaded
    with serving(export, "--api_key", KEY, profile=write_profile(export, folder / "profile.json")) as running:
        running.client.headers["X-API-Key"] = KEY
        yield running


def test_schemathesis_finds_nothing(server: Server, tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(server.get("/openapi.json")))
    (tmp_path / "schemathesis.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "schemathesis.cli", "run", "openapi.json", "--url", server.url, "--seed", "1"]
    options = ["--max-examples", "4", "--phases", "coverage,fuzzing", "--no-shrink", "--continue-on-failure"]
    # Hypothesis would write down what it has found for the next time, and the tests are the same each time.
    env = {**os.environ, "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path)}
    done = subprocess.run([*command, *options], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr
    paths = server.get("/openapi.json")["paths"]
    operations = sum(len(each) for each in paths.values())
    assert f"Tested: {operations}" in done.stdout
    assert server.predict(picture()).status_code == 200  # it has lived through it


def test_it_names_the_nets_and_what_is_allowed(server: Server) -> None:
    document = server.get("/openapi.json")
    assert document["openapi"] == "3.1.0"
    parameters = {each["name"]: each["schema"] for each in document["paths"]["/predict"]["post"]["parameters"]}
    assert parameters.keys() == {"X-Deadline-Ms", "X-Subnet", "X-Least-Accuracy", "X-Cascade", "X-Top"}
    assert parameters["X-Subnet"]["enum"] == ["resnet8", "resnet14", "resnet20"]
    models = document["paths"]["/v2/models/{model}"]["get"]["parameters"][0]["schema"]["enum"]
    assert models == ["letters", "resnet8", "resnet14", "resnet20"]


def test_answers_are_what_their_schemas_say(server: Server) -> None:
    document = server.get("/openapi.json")

    def check(name: str, value: object) -> None:
        jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", **document})

    check("Answer", server.predict(picture(), picture(), top=3, deadline_ms=60_000).json())
    check("Nets", server.get("/nets"))
    check("Status", server.get("/status"))
    check("Reloaded", server.client.post("/reload").json())
    check("Error", server.predict(b"x").json())
    tensor = {"name": "images", "shape": [1, 3, 32, 32], "datatype": "UINT8", "data": [0] * 3072}
    asked = {"inputs": [tensor], "parameters": {"deadline_ms": 60_000}, "id": "7"}
    check("Inference", asked)
    check("InferenceAnswer", server.client.post("/v2/models/letters/infer", json=asked).json())
