"""`ddnn quantize`: from a run to an export in int8 that the runtime opens."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import ddnn
from ddnn.deployment import Runtime
from ddnn.deployment.quantization import forms, trials
from ddnn.measuring.evaluation import evaluate
from ddnn.runs.data_of_run import data_of_run, open_images
from tests.end_to_end.command import refused, run


@pytest.fixture(scope="module")
def digits_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    ddnn.train(ddnn.TrainConfig(full="resnet14", subnets=["resnet8"], epochs=2, output=str(folder)), progress=False)
    return folder


@pytest.fixture(scope="module")
def report(digits_run: Path) -> dict[str, Any]:
    """What the command wrote with its defaults, into RUN/export-int8."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "SECONDS", 0.01)
        from ddnn.cli import main

        assert main(["quantize", str(digits_run), "--threads", "1", "--calibration_images", "128"]) == 0
    return json.loads((digits_run / "export-int8" / "quantization.json").read_text())


def codes_of(graph: Path) -> dict[str, np.ndarray]:
    """The int8 constants of a graph that are weights, by name."""
    constants = onnx.load(graph).graph.initializer
    return {one.name: onnx.numpy_helper.to_array(one) for one in constants if one.name.endswith(".int8")}


def test_the_runtime_gives_the_accuracies_that_the_report_and_the_manifest_say(
    digits_run: Path, report: dict[str, Any]
) -> None:
    network = ddnn.load(digits_run)
    data = open_images(network, data_of_run(digits_run).unaugmented())
    runtime = Runtime(digits_run / "export-int8", threads=1)
    assert runtime.manifest.precision == "int8"
    assert runtime.names == ("resnet8", "resnet14")
    batches = [(images.numpy(), labels.numpy()) for images, labels in data.test("cpu")]
    total = sum(len(labels) for _, labels in batches)
    before = evaluate(network, data.test("cpu"))
    for name, net in runtime.manifest.nets.items():
        right = sum(int((runtime(images, name).argmax(axis=1) == labels).sum()) for images, labels in batches)
        assert net.accuracy == report["nets"][name]["chosen"]["accuracy"] == right / total
        assert report["nets"][name]["fp32"]["accuracy"] == pytest.approx(before[name].accuracy)
        assert net.depth == network.depths[name]


def test_each_block_is_in_one_form_in_all_nets_and_codes_are_stored_once(
    digits_run: Path, report: dict[str, Any]
) -> None:
    export = digits_run / "export-int8"
    shallow, full = codes_of(export / "resnet8.onnx"), codes_of(export / "resnet14.onnx")
    blocks = ["stem", *(f"layer{stage}.{block}" for stage in (1, 2, 3) for block in (0, 1)), "head"]
    assert sorted(report["int8"] + report["fp32"]) == sorted(blocks)
    assert len(full) == 2 * sum(block.startswith("layer") for block in report["int8"]) + (
        "stem" in report["int8"]) + ("head" in report["int8"])  # fmt: skip
    assert all(np.array_equal(codes, full[name]) for name, codes in shallow.items())
    assert max(np.abs(codes).max() for codes in full.values()) == 64
    assert report["weights"]["all_nets"] == (export / "weights.bin").stat().st_size
    assert report["weights"]["all_nets"] <= 1.03 * report["weights"]["full_net"]


def test_the_choice_keeps_the_bound_and_the_report_says_what_was_tried(report: dict[str, Any]) -> None:
    assert report["bound"] == {"max_drop": 0.01}
    chosen = [attempt for attempt in report["tried"] if attempt["fits"]][-1]
    assert chosen["int8"] == report["int8"]
    assert chosen["drop"] <= 0.01
    assert {one["block"] for one in report["sensitivities"]} == {*report["int8"], *report["fp32"]}
    assert [one["divergence"] for one in report["sensitivities"]] == sorted(
        (one["divergence"] for one in report["sensitivities"]), reverse=True
    )
    assert report["conditions"]["decided_on"] == "validation"
    assert (report["conditions"]["calibration_images"], report["conditions"]["deciding_images"]) == (128, 144)
    for net in report["nets"].values():
        assert net["int8"]["weight_bytes"] < 0.3 * net["fp32"]["weight_bytes"]
        assert all(form["latency_ms"] > 0 for form in net.values())


def test_what_cannot_be_done_is_one_line_and_leaves_nothing(
    digits_run: Path, report: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = ("--output", tmp_path / "export")
    assert "exists already" in refused(run(capfd, "quantize", digits_run))
    assert "give --data" in refused(run(capfd, "quantize", digits_run / "network", *output))
    assert "exclude each other" in refused(
        run(capfd, "quantize", digits_run, *output, "--max_drop", 0.1, "--latency_ms", 3)
    )
    assert "for 2 % give 0.02" in refused(run(capfd, "quantize", digits_run, *output, "--max_drop", 2))
    assert "latency_ms must be above 0" in refused(run(capfd, "quantize", digits_run, *output, "--latency-ms", 0))
    assert "weight_bits must be 7 or 8" in refused(run(capfd, "quantize", digits_run, *output, "--weight_bits", 4), 2)
    assert not list(tmp_path.iterdir())


def test_without_the_extra_it_says_what_to_install(
    digits_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    message = refused(run(capfd, "quantize", digits_run, "--output", tmp_path / "export"))
    assert "pip install 'ddnn[onnx]'" in message


def test_a_latency_that_is_out_of_reach_names_the_nearest_and_leaves_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "SECONDS", 0.001)
    network = ddnn.build("resnet8", num_classes=10, in_channels=1)
    network.data_spec = ddnn.DataSpec(1, (8, 8), (0.3,), (0.4,), tuple("0123456789"))
    network.save(tmp_path / "network")
    arguments = ("quantize", tmp_path / "network", "--data", "digits", "--latency_ms", 1e-6, "--threads", 1)
    result = run(capfd, *arguments, "--output", tmp_path / "export")
    assert result.status == 1
    message = result.err.strip().splitlines()[-1]
    assert message.startswith("ddnn: error: no choice of blocks brings the full net within 1e-06 ms here; the nearest")
    assert [path.name for path in tmp_path.iterdir()] == ["network"]
