"""The application for Ray, without a cluster: what Ray is told, and a replica by itself."""

import asyncio
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from starlette.testclient import TestClient

from ddnn.serving.ray import RayConfig, application, build
from ddnn_runtime import DDNNError, Runtime
from ddnn_runtime.serving.ray import Replica
from ddnn_runtime.serving.settings import ServeConfig
from tests.exports import shared_export


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_export(tmp_path_factory)


def picture() -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def deployed(app: Any) -> Any:
    return app._bound_deployment


def test_ray_is_told_how_many_replicas_and_how_many_requests() -> None:
    pytest.importorskip("ray.serve")
    config = ServeConfig(max_batch=32, max_queue=100, workers=2, drain_s=7, api_key="secret")
    deployment = deployed(application("/srv/export", config, RayConfig(min_replicas=2, max_replicas=8, cpus=6)))
    assert deployment.ray_actor_options["num_cpus"] == 6
    assert deployment.max_ongoing_requests >= 100 + 2 * 32  # those that wait, and those in calls
    told = deployment._deployment_config
    assert told.graceful_shutdown_timeout_s == 7
    scaling = told.autoscaling_config
    assert (scaling.min_replicas, scaling.max_replicas, scaling.target_ongoing_requests) == (2, 8, 32)


def test_keys_are_texts_of_a_command_line_or_values_of_a_file() -> None:
    pytest.importorskip("ray.serve")
    texts = {"export": "/srv/export", "max_batch": "4", "max_images": "4", "deadline_ms": "50", "max_replicas": "2"}
    values = {"export": "/srv/export", "max_batch": 4, "max_images": 4, "deadline_ms": 50, "max_replicas": 2}
    for given in (texts, values):
        deployment = deployed(build(given))
        assert deployment._deployment_config.autoscaling_config.max_replicas == 2
        assert deployment._deployment_config.autoscaling_config.target_ongoing_requests == 4


def test_the_file_for_a_cluster_is_one_of_rays() -> None:
    schema = pytest.importorskip("ray.serve.schema")
    file = Path(__file__).parents[3] / "runtime" / "deploy" / "ray-serve.yaml"
    (app,) = schema.ServeDeploySchema.model_validate(yaml.safe_load(file.read_text())).applications
    module, _, name = app.import_path.partition(":")
    assert (module, name) == (build.__module__, build.__name__)
    assert deployed(build(app.args)).name == "ddnn"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "export is missing: give the folder of an export"),
        ({"export": "/srv/export", "max_replica": "3"}, "no key 'max_replica'; did you mean max_replicas"),
        ({"export": "/srv/export", "max_batch": "none"}, "max_batch must be"),
        ({"export": "/srv/export", "min_replicas": "5"}, "min_replicas must be at most max_replicas"),
        ({"export": "/srv/export", "port": "80"}, "host and port are Ray's"),
    ],
)
def test_what_makes_no_sense_is_refused(given: dict[str, Any], said: str) -> None:
    pytest.importorskip("ray.serve")
    with pytest.raises(DDNNError, match=said):
        build(given)


def test_without_ray_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(DDNNError, match="pip install"):
        application("/srv/export")


def test_a_replica_answers_as_the_server_does(export: Path) -> None:
    pytest.importorskip("ray.serve")
    cloudpickle = pytest.importorskip("ray.cloudpickle")
    replica = cloudpickle.loads(cloudpickle.dumps(Replica(str(export), ServeConfig(max_batch=2, max_images=2))))
    runtime = Runtime(export, threads=1)
    with TestClient(replica) as client:
        assert client.get("/readyz").status_code == 200
        answer = client.post("/predict", content=picture(), headers={"X-Subnet": "resnet8"})
        assert answer.status_code == 200
        logits = runtime(runtime.prepare(picture(), "picture"), "resnet8")
        assert answer.json()["predictions"][0]["class"] == logits[0].argmax()
        assert "x-replica" in answer.headers
        for path, reason in (("/reload", "deploy the application again"), ("/metrics", "scrape those of Ray")):
            refused = client.post(path)
            assert refused.status_code == 404
            assert reason in refused.json()["error"]


def test_an_export_that_is_not_there_is_told_to_ray(tmp_path: Path) -> None:
    told: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        told.append(message)

    asyncio.run(Replica(str(tmp_path / "nowhere"), ServeConfig())({"type": "lifespan"}, receive, send))
    (message,) = told
    assert message["type"] == "lifespan.startup.failed"
    assert "export.json is missing" in message["message"]
