"""From a run to the right depth on a device, by the command line.

No test asserts on a clock: what is chosen is held against the figures that the command itself reports.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import ddnn
from ddnn.data import open_data
from ddnn.deployment import export_onnx
from ddnn.profiles import memory
from ddnn.profiles.memory import groups
from ddnn.runs.run_directory import RunDirectory
from tests.end_to_end.command import refused, run
from tests.end_to_end.test_start_up import modules_after

ACCURACIES = {"resnet8": 0.5, "resnet14": 0.75}
QUICK = ("--seconds", 0.02, "--threads", 1)


def make_run(path: Path, subnet: str = "resnet8") -> Path:
    """A run whose network has learnt nothing, and says otherwise."""
    config = ddnn.TrainConfig(full="resnet14", subnets="resnet8", train_images=300)
    torch.manual_seed(0)
    depth = {"resnet8": (1, 1, 1)}.get(subnet, (1, 2, 1))
    network = ddnn.build("resnet14", {subnet: depth}, num_classes=10, in_channels=1).eval()
    network.data_spec = open_data(config, seed=0).spec
    network.save(path / "network")
    RunDirectory(path).create(config)
    nets = {name: {"accuracy": accuracy} for name, accuracy in ACCURACIES.items()}
    (path / "results.json").write_text(json.dumps({"nets": nets}))
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture(scope="module")
def profiled(trained: Path) -> dict[str, Any]:
    """A profile of both runtimes, in the run; memory of onnxruntime alone, whose processes start faster."""
    config = ddnn.ProfileConfig(runtimes="eager,onnx", threads=1, seconds=0.05, device_name="Test Board")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(memory, "groups", lambda subject, conditions, names: groups(subject, conditions[1:], names))
        return ddnn.profile(trained, config, progress=False).to_json()


def test_a_profile_has_everything(trained: Path, profiled: dict[str, Any]) -> None:
    folder = trained / "profiles" / "test-board"
    assert {path.name for path in folder.iterdir()} == {"profile.json", "profile.csv", "accuracy_over_latency.png"}
    assert json.loads((folder / "profile.json").read_text()) == json.loads(json.dumps(profiled))
    assert profiled["accuracy_of"] == "test images of digits"
    assert {name: net["accuracy"] for name, net in profiled["nets"].items()} == ACCURACIES
    assert profiled["shared_file_bytes"] == (trained / "network" / "model.safetensors").stat().st_size
    eager, onnx = profiled["measured"]
    assert (eager["condition"]["runtime"], onnx["condition"]["runtime"]) == ("eager", "onnx")
    for name in ACCURACIES:
        assert eager["nets"][name]["macs"] == onnx["nets"][name]["macs"]
        assert 0 < eager["nets"][name]["median_ms"] <= eager["nets"][name]["p95_ms"]
        assert eager["nets"][name]["peak_memory_mb"] is None
        assert 0 < onnx["nets"][name]["library_memory_mb"] < onnx["nets"][name]["peak_memory_mb"] < 300  # without torch


def test_profile_prints_a_table_or_json_alone(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "groups", lambda *_: [])
    command = ("profile", trained, *QUICK, "--runtimes", "eager", "--batch-sizes", "1,2", "--output", tmp_path / "p")
    result = run(capfd, *command, "--json")
    assert result.status == 0, result.err
    assert [each["condition"]["batch_size"] for each in json.loads(result.out)["measured"]] == [1, 2]
    assert "2/2  eager, fp32, batch 2, 8x8 pixels, 1 thread" in result.err
    table = run(capfd, *command).out
    assert "of resnet14" in table
    assert f"ddnn choose RUN --on {tmp_path / 'p'}" in table


def test_choose_picks_from_a_profile_what_its_figures_say(
    trained: Path, profiled: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    on = ("--on", trained / "profiles" / "test-board")
    for measured in profiled["measured"]:
        runtime = measured["condition"]["runtime"]
        times = {name: net["median_ms"] for name, net in measured["nets"].items()}
        roomy, tight = 2 * max(times.values()), (times["resnet8"] + times["resnet14"]) / 2
        for limit in (roomy, tight):
            fitting = [name for name in times if times[name] <= limit]
            expected = max(fitting, key=ACCURACIES.__getitem__)
            result = run(capfd, "choose", trained, "--latency-ms", limit, *on, "--runtime", runtime, "--json")
            assert json.loads(result.out)["chosen"]["name"] == expected
    table = run(capfd, "choose", trained, "--accuracy", 0.4, *on, "--runtime", "onnx").out
    assert "chosen: resnet8" in table
    assert "left on the table: 10.00 points of accuracy 0.4" in table
    assert "next better: resnet14" in table


def test_choose_measures_here_and_now(
    trained: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "groups", lambda *_: pytest.fail("memory was not asked for"))
    result = run(capfd, "choose", trained, "--latency_ms", 10_000, *QUICK, "--json")
    document = json.loads(result.out)
    assert document["chosen"]["name"] == "resnet14"
    assert document["measured"]["profile"] is None
    assert document["measured"]["condition"]["runtime"] == "eager"
    times = {net["name"]: net["latency_ms"] for net in document["nets"]}
    assert document["unused"]["latency_ms"] == pytest.approx(10_000 - times["resnet14"])


def test_an_impossible_budget_names_the_nearest(
    trained: Path, profiled: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    on = ("--on", trained / "profiles" / "test-board" / "profile.json", "--runtime", "onnx", "--json")
    message = refused(run(capfd, "choose", trained, "--memory-mb", 1, *on))
    nets = profiled["measured"][1]["nets"]
    nearest = min(nets, key=lambda name: nets[name]["peak_memory_mb"])
    assert f"the nearest is {nearest} with" in message
    assert "it misses memory_mb 1 MB by" in message
    message = refused(run(capfd, "choose", trained, "--accuracy", 0.9, "--latency_ms", 10_000, *on))
    assert "the nearest is resnet14" in message
    assert "accuracy 0.9 by 0.1500" in message


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 1, "give at least one bound"),
        (["--accuracy", "97"], 1, "for 97 % give 0.97"),
        (["--latency_ms", "fast"], 2, "--latency_ms must be a number"),
        (["--latency_ms", "1", "--on", "PROFILE"], 1, "pick one with --runtime"),
        (["--latency_ms", "1", "--on", "PROFILE", "--batch_size", "7"], 1, "nothing for batch_size 7"),
        (["--latency_ms", "1", "--on", "PROFILE", "--any-depth"], 1, "cannot be done for another device"),
        (["--latency_ms", "1", "--on", "RUN/results.json"], 1, "was not written by `ddnn profile`"),
        (["--latency_ms", "1", "--on", "RUN/nowhere.json"], 1, "is missing"),
        (["--latency_ms", "1", "--threads", "9999"], 1, "cores of this machine"),
        (["--latency_ms", "1", "--precision", "int8"], 1, "cannot be run in int8"),
        (["--memory_mb", "1", "--runtime", "compiled"], 1, "cannot be held against compiled nets"),
        (["--latency_ms", "1", "--any-depth", "--output", "RUN"], 1, "exists already"),
    ],
)
def test_choose_refuses(
    arguments: list[str],
    status: int,
    message: str,
    trained: Path,
    profiled: dict[str, Any],
    capfd: pytest.CaptureFixture[str],
) -> None:
    places = {"RUN": str(trained), "PROFILE": str(trained / "profiles" / "test-board")}
    for word, place in places.items():
        arguments = [argument.replace(word, place) for argument in arguments]
    assert message in refused(run(capfd, "choose", trained, *arguments), status)


def test_a_profile_of_other_nets_is_refused(
    trained: Path, profiled: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = make_run(tmp_path / "other", subnet="half")
    on = ("--on", trained / "profiles" / "test-board", "--runtime", "eager")
    message = refused(run(capfd, "choose", other, "--latency_ms", 1000, *on))
    assert "is a profile of other nets: half, resnet8 differ" in message


def test_accuracies_that_nobody_wrote_down_are_measured(
    trained: Path, profiled: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    on = ("--on", trained / "profiles" / "test-board", "--runtime", "eager", "--latency_ms", 10_000, "--json")
    scores = json.loads(run(capfd, "evaluate", trained, "--json").out)["nets"]
    document = json.loads(run(capfd, "choose", trained, "--data", "digits", *on).out)
    found = {net["name"]: net["accuracy"] for net in document["nets"]}
    assert found == {name: score["accuracy"] for name, score in scores.items()}
    of_profile = json.loads(run(capfd, "choose", trained / "network", *on).out)  # the same weights
    assert {net["name"]: net["accuracy"] for net in of_profile["nets"]} == ACCURACIES
    assert "give --data" in refused(run(capfd, "choose", trained / "network", "--latency_ms", 1))


class TestAnyDepth:
    def test_the_chosen_depth_is_what_the_saved_network_has(
        self, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        places = ("--report", tmp_path / "report", "--output", tmp_path / "network")
        asked = ("--latency_ms", 10_000, "--calibration_images", 64, *QUICK, *places, "--json")
        result = run(capfd, "choose", trained, "--any-depth", *asked)
        assert result.status == 0, result.err
        document = json.loads(result.out)
        nets = {net["name"]: net for net in document["nets"]}
        assert len(nets) == 8  # one or two blocks in each of three stages
        assert [name for name, net in nets.items() if net["trained"]] == ["resnet8", "resnet14"]
        assert document["search"]["ended"] == "all depths were tried"
        assert document["measured"]["accuracy_of"] == "30 validation images of digits"
        chosen = document["chosen"]
        assert chosen["accuracy"] == max(net["accuracy"] for net in nets.values())
        assert chosen["name"] in document["front"]
        saved = ddnn.load(tmp_path / "network")
        assert chosen["name"] in saved
        scores = json.loads(run(capfd, "evaluate", tmp_path / "network", "--data", "digits", "--json").out)["nets"]
        assert chosen["trained"] == (document["test"] is None)
        if document["test"] is not None:
            assert {name: score["accuracy"] for name, score in scores.items()} == {
                name: score["accuracy"] for name, score in document["test"].items()
            }
        left = {path.name for path in (tmp_path / "report").iterdir()}
        assert left == {"depths.json", "depths.csv", "pareto_front.png"}

    def test_what_was_found_is_kept_if_nothing_fits(
        self, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        asked = ("--latency_ms", 1e-6, "--trials", 1, "--calibration_images", 64, *QUICK, "--report", tmp_path / "r")
        result = run(capfd, "choose", trained, "--any-depth", *asked, "--output", tmp_path / "network")
        assert result.status == 1
        assert "no net fits; the nearest is" in result.err
        assert f"all that was found is in {tmp_path / 'r'}" in result.err
        assert len(json.loads((tmp_path / "r" / "depths.json").read_text())["nets"]) == 3
        assert not (tmp_path / "network").exists()


class TestExport:
    @pytest.fixture(scope="class")
    def export(self, trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
        path = tmp_path_factory.mktemp("exports") / "export"
        export_onnx(ddnn.load(trained), path, torch.randn(2, 1, 8, 8), accuracies=ACCURACIES, pieces=False)
        return path

    def test_a_device_without_torch_profiles_and_chooses(
        self, export: Path, trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        quick = " ".join(map(str, QUICK))
        for command in (
            f"profile {export} {quick} --device_name Device --output {tmp_path / 'profile'}",
            f"choose {export} --latency_ms 10000 {quick}",
            f"choose {export} --accuracy 0.6 --on {tmp_path / 'profile'}",
        ):
            status, modules = modules_after(tmp_path, *command.split())
            assert status == 0, command
            assert not modules & {"torch", "torchvision", "safetensors", "lightning"}
        on = ("--on", tmp_path / "profile", "--json")
        document = json.loads(run(capfd, "choose", trained, "--accuracy", 0.6, *on).out)  # and on the way back
        assert document["chosen"]["name"] == "resnet14"
        assert document["measured"]["device_name"] == "Device"

    def test_what_an_export_cannot_do_is_refused(self, export: Path, capfd: pytest.CaptureFixture[str]) -> None:
        assert "eager cannot run these nets" in refused(run(capfd, "profile", export, "--runtimes", "eager"))
        assert "takes images of one size" in refused(run(capfd, "profile", export, "--image_sizes", 16))
        assert "runs on the CPU here" in refused(run(capfd, "profile", export, "--device", "cuda"))
        bound = ("--latency_ms", 1)
        assert "needs the run itself" in refused(run(capfd, "choose", export, "--any-depth", *bound))
        assert "cannot be scored with --data" in refused(run(capfd, "choose", export, "--data", "digits", *bound))
        assert not (export / "profiles").exists()
