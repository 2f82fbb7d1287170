"""From a run to a cascade, by the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import ddnn
from ddnn.cascading.thresholds import SHARES
from ddnn.config import CascadeConfig, DataConfig
from ddnn.data import Data, open_data
from ddnn_runtime.cascade_spec import FILE, read_cascade
from tests.end_to_end.command import refused, run

HELD_OUT = 0.3
QUICK = ("--seconds", 0.05, "--points", 3, "--threads", 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose shallow net is less accurate than its full net."""
    path = tmp_path_factory.mktemp("runs") / "digits"
    subnets = {"tiny": [1, 1, 1], "middle": [1, 2, 2]}
    config = ddnn.TrainConfig(subnets=subnets, epochs=4, train_images=800, validation=HELD_OUT, output=str(path))
    ddnn.train(config, progress=False)
    return path


@pytest.fixture(scope="module")
def calibrated(trained: Path) -> dict[str, Any]:
    """The report of a cascade for the accuracy of the most accurate net."""
    ddnn.cascade(trained, CascadeConfig(seconds=0.05, points=3, threads=1), progress=False)
    return json.loads((trained / "cascade" / "report.json").read_text())


def test_the_stored_cascade_does_what_the_report_says(trained: Path, calibrated: dict[str, Any]) -> None:
    network = ddnn.load(trained)
    spec = read_cascade(trained, network.names)
    assert spec is not None
    data = open_data(DataConfig(train_images=800, validation=HELD_OUT), seed=0, spec=network.data_spec)
    held = data.validation("cpu")
    assert held is not None
    found, cascade = {}, calibrated["cascade"]
    for split, batches in (("held out", held), ("test", data.test("cpu"))):
        right, who = [], []
        for images, labels in batches:
            with torch.inference_mode():
                output = network.cascade(images, spec.thresholds, last=spec.last)
            right.append(output.logits.argmax(dim=1) == labels)
            who.append(output.answered_by)
        shares = torch.cat(who).bincount(minlength=len(cascade["answered"])) / len(torch.cat(who))
        found[split] = float(torch.cat(right).float().mean()), shares.tolist()
    assert spec.expected.accuracy == pytest.approx(found["held out"][0])
    assert cascade["accuracy"] == pytest.approx(found["test"][0])
    assert list(cascade["answered"].values()) == pytest.approx(found["test"][1])
    assert calibrated["calibrated_on"] == {"data": "digits", "split": "validation", "images": round(HELD_OUT * 800)}
    assert cascade["held_out_accuracy"] >= max(net["held_out_accuracy"] for net in calibrated["nets"].values())
    assert (trained / "cascade" / "accuracy_over_cost.png").read_bytes().startswith(b"\x89PNG")


def test_fixed_depths_have_the_accuracy_that_evaluate_finds(
    trained: Path, calibrated: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    scores = json.loads(run(capfd, "evaluate", trained, "--json").out)["nets"]
    assert {name: net["accuracy"] for name, net in calibrated["nets"].items()} == pytest.approx(
        {name: score["accuracy"] for name, score in scores.items()}
    )


def test_thresholds_do_not_depend_on_the_test_images(
    trained: Path, calibrated: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (trained / FILE).read_text()
    monkeypatch.setattr(Data, "test", Data.training)
    config = CascadeConfig(seconds=0.05, points=3, threads=1, output=str(tmp_path / "report"))
    report, _ = ddnn.cascade(trained, config, progress=False)
    assert report.test_images != calibrated["test_images"]
    assert (trained / FILE).read_text() == before


def test_a_budget_is_kept_on_the_held_out_images(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    result = run(capfd, "cascade", trained, "--macs", 1.5e6, *QUICK, "--output", tmp_path / "macs", "--json")
    assert result.status == 0, result.err
    document = json.loads(result.out)
    assert document["cascade"]["held_out_cost"] <= 1.5e6
    assert document["unit"] == "macs"
    assert "asking the nets about held-out images" in result.err
    timed = run(capfd, "cascade", trained, "--latency_ms", 1e4, *QUICK, "--output", tmp_path / "ms", "--json")
    document = json.loads(timed.out)
    assert document["unit"] == "ms"
    most = max(cascade["held_out_accuracy"] for cascade in document["curve"])
    assert document["cascade"]["held_out_accuracy"] == most


def test_the_table_names_every_depth_and_ends_with_the_verdict(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    nets = ("--nets", "tiny,resnet20", "--accuracy", 0.2, "--cost", "ms", "--batch-size", 8)
    result = run(capfd, "cascade", trained, *nets, *QUICK, "--output", tmp_path / "out")
    assert result.status == 0, result.err
    assert all(name in result.out for name in ("tiny", "middle", "resnet20", "the chosen cascade"))
    assert "batches of 8" in result.out
    assert "20.00 % accuracy there" in result.out
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["unit"] == "ms"
    assert report["verdict"] in result.out
    assert all("middle" not in cascade["answered"] for cascade in report["curve"])


def test_a_share_of_earlier_logits_is_chosen_stored_and_shown(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = (trained / FILE).read_text() if (trained / FILE).exists() else None
    found = {}
    for boost in ("fit", 0.5):
        result = run(capfd, "cascade", trained, "--boost", boost, *QUICK, "--output", tmp_path / str(boost))
        assert result.status == 0, result.err
        assert "trying shares of earlier logits" in result.err
        assert "the best without boost" in result.out
        report = json.loads((tmp_path / str(boost) / "report.json").read_text())
        spec = read_cascade(trained, ddnn.load(trained).names)
        assert spec is not None
        assert spec.boost == report["cascade"]["boost"]
        assert spec.expected.accuracy == report["cascade"]["held_out_accuracy"]
        assert report["without_boost"]["boost"] == 0
        assert report["cascade"]["held_out_cost"] <= report["without_boost"]["held_out_cost"] or boost != "fit"
        found[boost] = spec.boost
    assert found["fit"] in SHARES
    if before is not None:
        (trained / FILE).write_text(before)


def test_a_saved_network_does_as_well_if_the_data_is_named(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "saved"
    ddnn.load(trained).save(saved)
    assert "give --data" in refused(run(capfd, "cascade", saved, *QUICK))
    assert run(capfd, "cascade", saved, "--data", "digits", *QUICK, "--json").status == 0
    assert read_cascade(saved, ddnn.load(saved).names) is not None
    assert not ddnn.load(saved).training


def test_an_export_is_measured_with_onnxruntime(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime")
    from ddnn.deployment import export_onnx

    network = ddnn.build("resnet14", ["resnet8"], num_classes=10, in_channels=1).eval()
    network.data_spec = ddnn.load(trained).data_spec
    network.save(tmp_path / "saved")
    export_onnx(network, tmp_path / "export", torch.randn(2, 1, 8, 8))
    found = []
    for more in ((), ("--export", tmp_path / "export"), ("--export", tmp_path / "export", "--latency-ms", 1e4)):
        result = run(capfd, "cascade", tmp_path / "saved", "--data", "digits", *QUICK, *more, "--json")
        assert result.status == 0, result.err
        found.append(json.loads(result.out))
        spec = read_cascade(tmp_path / "saved", network.names)
        assert spec is not None
        assert spec.thresholds == found[-1]["cascade"]["thresholds"]
    assert [document["engine"] for document in found] == ["PyTorch on cpu", *["onnxruntime, fp32"] * 2]
    for name in network.names:
        assert found[1]["nets"][name]["accuracy"] == pytest.approx(found[0]["nets"][name]["accuracy"], abs=0.01)
        assert found[1]["nets"][name]["macs"] == found[0]["nets"][name]["macs"]
    assert found[1]["cascade"]["accuracy"] == pytest.approx(found[0]["cascade"]["accuracy"], abs=0.02)
    refusal = refused(run(capfd, "cascade", trained, *QUICK, "--export", tmp_path / "export"))
    assert "is not an export of this network" in refusal
    assert "is an export; give the run" in refused(run(capfd, "cascade", tmp_path / "export", *QUICK))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--accuracy", 0.999999), "no cascade reaches an accuracy of 100.00 % on the held-out images; the best"),
        (("--macs", 1000), "no cascade costs at most 1000 multiply-accumulates an image; the cheapest, tiny"),
        (("--accuracy", 1.5), "accuracy must be a share of the images in (0, 1]"),
        (("--macs", 1e6, "--latency_ms", 3), "macs and latency_ms exclude each other"),
        (("--macs", 1e6, "--cost", "ms"), "leave one of the two out"),
        (("--nets", "tiny,resnet18"), "no net 'resnet18'"),
        (("--nets", "tiny,tiny"), "tiny is given twice among the nets"),
        (("--threads", 10_000), "threads must be at most the"),
        (("--batch_size", 0), "batch_size must be at least 1"),
        (("--boost", 1.5), "boost must be a share in [0, 1], or fit, not 1.5"),
        (("--export", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: tuple[Any, ...], message: str
) -> None:
    out = tmp_path / "out"
    result = run(capfd, "cascade", trained, *QUICK, *options, "--output", out)
    *progress, last = result.err.strip().splitlines()
    assert message in refused(result._replace(err=last))
    assert all("asking the nets" in line for line in progress)
    assert not out.exists()


def test_without_held_out_images_it_says_so(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "run"
    few = ("--epochs", 1, "--train_images", 100, "--validation", 0)
    assert run(capfd, "train", *few, "--output", path, "--json").status == 0
    assert "no images of digits were held out" in refused(run(capfd, "cascade", path, *QUICK))
    assert not (path / FILE).exists()
    assert not (path / "cascade").exists()
