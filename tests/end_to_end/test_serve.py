"""`ddnn serve` and `ddnn-serve` as a client sees them: a real process, real requests, answers as Python gives them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ddnn_runtime import Runtime
from ddnn_runtime.serving.predictions import probabilities
from tests.end_to_end.command import refused, run
from tests.exports import NAMES, shared_export
from tests.served import MS, Server, picture, serving, write_profile


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shared_export(tmp_path_factory)


@pytest.fixture(scope="module")
def profile(export: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_profile(export, tmp_path_factory.mktemp("profile") / "profile.json")


@pytest.fixture(scope="module")
def server(export: Path, profile: Path) -> Iterator[Server]:
    with serving(export, "--access_log", "-", "--name", "letters", profile=profile) as running:
        yield running


@pytest.fixture(scope="module")
def runtime(export: Path) -> Runtime:
    return Runtime(export, threads=1)


def expected(runtime: Runtime, image: bytes, subnet: str) -> np.ndarray:
    return probabilities(runtime(runtime.prepare(image), subnet))[0]


@pytest.mark.parametrize("subnet", NAMES)
def test_one_image_is_answered_as_python_answers_it(server: Server, runtime: Runtime, subnet: str) -> None:
    answer = server.predict(picture(), subnet=subnet, top=7).raise_for_status().json()
    shares = expected(runtime, picture(), subnet)
    (prediction,) = answer["predictions"]
    assert (answer["subnet"], prediction["subnet"], answer["batch"], answer["slack_ms"]) == (subnet, subnet, 1, None)
    assert [each["class"] for each in prediction["top"]] == (-shares).argsort(kind="stable").tolist()
    np.testing.assert_allclose([each["probability"] for each in prediction["top"]], sorted(shares)[::-1], atol=1e-4)
    assert {key: prediction[key] for key in ("class", "label", "probability")} == prediction["top"][0]
    assert prediction["label"] == "abcdefg"[prediction["class"]]
    assert answer["waited_ms"] > 0 < answer["ran_ms"]


def test_several_images_of_a_form_are_answered_in_order(server: Server, runtime: Runtime) -> None:
    images = [picture(number, kind=kind) for number, kind in enumerate(("PNG", "JPEG", "BMP", "WEBP"))]
    answer = server.predict(*images, subnet="resnet14").raise_for_status().json()
    found = [(each["class"], each["probability"], len(each["top"])) for each in answer["predictions"]]
    shares = [expected(runtime, image, "resnet14") for image in images]
    assert found == [(row.argmax(), pytest.approx(row.max(), abs=1e-4), 1) for row in shares]


def test_fields_of_a_form_are_wishes_and_go_before_headers(server: Server) -> None:
    answer = server.client.post(
        "/predict",
        files={"image": picture()},
        data={"subnet": "resnet8", "top": "3", "deadline_ms": "60000"},
        headers={"X-Subnet": "resnet20"},
    ).json()
    assert (answer["subnet"], len(answer["predictions"][0]["top"])) == ("resnet8", 3)
    assert 0 < answer["slack_ms"] < 60_000


def test_the_policy_takes_the_best_net_that_a_wish_allows(server: Server) -> None:
    assert server.predict(picture()).json()["subnet"] == "resnet14"  # the most accurate of these nets
    assert server.predict(picture(), least_accuracy=0.8).json()["subnet"] == "resnet14"
    assert server.predict(picture(), least_accuracy=0.8, subnet="resnet20").json()["subnet"] == "resnet20"


def test_numbers_of_requests_are_their_own(server: Server) -> None:
    numbers = [server.predict(picture()).json()["id"] for _ in range(3)]
    assert numbers == sorted(set(numbers))


def test_nets_and_their_times_are_told(server: Server, runtime: Runtime) -> None:
    told = server.get("/nets")
    assert told["name"] == "letters"
    assert (told["classes"], told["class_names"], told["input_shape"]) == (7, [*"abcdefg"], [3, 32, 32])
    assert (told["policy"], told["deadline_ms"], told["cascade"]) == ("slackfit", None, False)
    assert [net["name"] for net in told["nets"]] == [*NAMES]
    for net in told["nets"]:
        known = runtime.manifest.nets[net["name"]]
        assert (net["accuracy"], net["macs"], net["depth"]) == (known.accuracy, known.macs, [*known.depth])
        assert net["ms"] == pytest.approx([MS[net["name"]] * size for size in told["batches"]])


def test_what_was_done_is_counted(server: Server) -> None:
    before, metrics = server.get("/status"), server.metrics()
    server.predict(picture(), picture(), subnet="resnet8").raise_for_status()
    server.predict(picture(), subnet="resnet8", deadline_ms=60_000).raise_for_status()
    after, found = server.get("/status"), server.metrics()
    assert after["answered"]["resnet8"] - before["answered"].get("resnet8", 0) == 3
    assert (after["queue"], after["batches"] - before["batches"], after["misses"]) == (0, 2, 0)
    assert after["uptime_s"] > before["uptime_s"] > 0

    def gained(name: str) -> float:
        return found[name] - metrics.get(name, 0.0)

    assert gained('ddnn_images_total{subnet="resnet8"}') == 3
    assert gained('ddnn_batch_images_bucket{le="1.0",subnet="resnet8"}') == 1
    assert gained('ddnn_batch_images_sum{subnet="resnet8"}') == 3
    assert gained('ddnn_running_seconds_count{subnet="resnet8"}') == 2
    assert gained("ddnn_waiting_seconds_count") == 2
    assert (gained("ddnn_slack_seconds_count"), gained('ddnn_slack_seconds_bucket{le="0.0"}')) == (1, 0)
    assert (gained("ddnn_misses_total"), found["ddnn_queue_images"]) == (0, 0)
    assert found["process_resident_memory_bytes"] > 1e6


WRONG: dict[str, tuple[dict[str, object], int, str]] = {
    "no such net": ({"subnet": "resnet9"}, 400, "there is no sub-net 'resnet9'; did you mean resnet8"),
    "no number": ({"deadline_ms": "soon"}, 400, "deadline_ms must be a number, not 'soon'"),
    "no time": ({"deadline_ms": 0}, 400, "deadline_ms must be"),
    "not finite": ({"deadline_ms": "nan"}, 400, "deadline_ms must be"),
    "no share": ({"least_accuracy": 90}, 400, "least_accuracy must be in [0, 1], not 90"),
    "no net is that good": ({"least_accuracy": 0.99}, 400, "the most accurate, resnet14, has 0.9000, not 0.99"),
    "no truth": ({"cascade": "maybe"}, 400, "cascade must be true or false, not 'maybe'"),
    "no cascade": ({"cascade": "true"}, 400, "this export has no calibrated cascade"),
    "both": ({"cascade": "true", "subnet": "resnet8"}, 400, "ask for a sub-net or for the cascade"),
    "no class": ({"top": 0}, 400, "top must be a whole number from 1"),
    "no way": ({"deadline_ms": 0.001}, 503, "the deadline cannot be met"),
}


@pytest.mark.parametrize("wish", WRONG)
def test_a_wish_that_makes_no_sense_is_refused_in_one_sentence(server: Server, wish: str) -> None:
    wishes, status, message = WRONG[wish]
    response = server.predict(picture(), **wishes)
    assert (response.status_code, [*response.json()]) == (status, ["error"])
    assert message in response.json()["error"]
    assert ("retry-after" in response.headers) == (status == 503)


def test_what_is_no_image_is_named(server: Server) -> None:
    half = picture(size=(200, 200))[:30_000]
    for response, message in (
        (server.predict(b""), "there is no image"),
        (server.predict(b"hello"), "Cannot decode the image: not an image in a known format"),
        (server.predict(half), "Cannot decode the image: "),
        (server.predict(picture(), half), "Cannot decode image 2 (1.png): "),
        (server.client.post("/predict", data={"subnet": "resnet8"}, files={}), "not an image"),
        (server.client.post("/predict", files={"subnet": (None, "resnet8")}), "the form has no image"),
        (server.client.post("/predict", files={"image": picture()}, data={"depth": "8"}), "nothing called 'depth'"),
        (server.client.post("/predict", content=b"x", headers={"Content-Type": "multipart/form-data"}), "boundary"),
    ):
        assert response.status_code == 400
        assert message in response.json()["error"]


def test_paths_and_methods_that_are_not_there(server: Server) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/predict", 405),
        ("POST", "/nets", 405),
        ("GET", "/reload", 405),
        ("GET", "/nets/", 404),
        ("GET", "/../etc/passwd", 404),
    ):
        response = server.client.request(method, path)
        assert (response.status_code, [*response.json()]) == (status, ["error"])


def test_the_line_of_the_log_says_what_the_answer_says(server: Server) -> None:
    answer = server.client.post(
        "/predict", content=picture(), headers={"X-Request-Id": "mine-1", "X-Subnet": "resnet8"}
    )
    assert answer.headers["x-request-id"] == "mine-1"
    line = server.said("mine-1")
    assert ' "POST /predict" 200 ' in line
    assert line.endswith(f"x-request-id=mine-1 id={answer.json()['id']} subnet=resnet8 batch=1\n")
    strange = server.client.post("/predict", content=picture(), headers={"X-Request-Id": "two words"})
    assert "x-request-id" not in strange.headers


def test_no_torch_is_in_the_process_of_ddnn_serve(export: Path, profile: Path) -> None:
    with serving(export, profile=profile, cold=("-m", "ddnn", "serve")) as server:
        server.predict(picture()).raise_for_status()
        maps = Path(f"/proc/{server.process.pid}/maps")
        if not maps.exists():
            pytest.skip("this system does not show what a process has loaded")
        assert "onnxruntime" in maps.read_text()
        assert "torch" not in maps.read_text()


def test_modules_of_a_server_are_without_torch_and_ddnn(export: Path, profile: Path) -> None:
    code = f"""
import sys, os, signal, threading
from ddnn_runtime.serving import launch
from ddnn_runtime.serving.settings import ServeConfig
def tell(*args, **options):
    os.kill(os.getpid(), signal.SIGTERM)
launch.print = tell
status = launch.launch({str(export)!r}, ServeConfig(port=0, profile={str(profile)!r}))
print(status, [name for name in ("torch", "ddnn", "torchvision") if name in sys.modules], "uvicorn" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 [] True\n"


def test_both_commands_refuse_what_cannot_be_served(
    export: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert "nothing holds no export" in refused(run(capfd, "serve", "nothing", "--port", 0))
    assert "--port must be an integer" in refused(run(capfd, "serve", export, "--port", "x"), status=2)
    assert "port must be a whole number from 0 to 65535" in refused(run(capfd, "serve", export, "--port", -1))
    assert "Is a directory" in refused(run(capfd, "serve", export, "--port", 0, "--api_key_file", tmp_path))
    assert "there is no sub-net 'x'" in refused(
        run(capfd, "serve", export, "--port", 0, "--policy", "fixed", "--subnet", "x")
    )
    command = [sys.executable, "-m", "ddnn_runtime.serving", "nothing", "--prot", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("ddnn-serve: error: unknown key --prot; did you mean --port")


def test_a_port_that_is_taken_is_said(export: Path, server: Server, capfd: pytest.CaptureFixture[str]) -> None:
    port = server.url.rpartition(":")[2]
    assert f"nobody can listen on 127.0.0.1, port {port}: Address already in use" in refused(
        run(capfd, "serve", export, "--port", port)
    )


def test_ctrl_c_ends_it(export: Path, profile: Path) -> None:
    with serving(export, profile=profile) as server:
        assert server.end(signal.SIGINT) == (130, "")


def test_without_the_extra_it_says_what_to_install(export: Path) -> None:
    code = "import sys; sys.modules['uvicorn'] = None; from ddnn.cli import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", code, "serve", export], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "ddnn: error: uvicorn is not installed: pip install 'ddnn-runtime[serve]'\n"


def test_the_first_line_names_the_address(export: Path, profile: Path) -> None:
    command = [sys.executable, "-m", "ddnn", "serve", export, "--port", "0", "--profile", profile, "--host", "0.0.0.0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert " is served at http://0.0.0.0:" in line
    assert "anybody who reaches this address may ask" in said
    assert json.dumps(None) not in line
    assert process.returncode == 0
