"""`ddnn compare` as a person uses it: the same numbers as `ddnn train`, continued where it was cut short, honest."""

import csv
import json
import multiprocessing
import os
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import ddnn
from ddnn.runs.run_directory import RunDirectory
from tests.end_to_end.command import refused, run
from tests.processes import Launched, warm

SMALL = ("--full", "resnet14", "--subnets", "resnet8", "--train_images", "96", "--batch_size", "32")


@pytest.fixture(autouse=True)
def _runs_start_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a comparison in this process; of those that are cut short, the first starts as it does for a person."""
    faster = SimpleNamespace(get_context=lambda _: warm(), active_children=multiprocessing.active_children)
    monkeypatch.setattr("ddnn.comparison.pool.multiprocessing", faster)


def compare(capfd: pytest.CaptureFixture[str], output: Path, *more: object) -> dict[str, Any]:
    result = run(capfd, "compare", *SMALL, "--epochs", 2, "--jobs", 1, "--output", output, *more, "--json")
    assert result.status == 0, result.err
    return json.loads(result.out)


def weights(run_directory: Path) -> dict[str, torch.Tensor]:
    return load_file(run_directory / "network" / "model.safetensors")


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def train(capfd: pytest.CaptureFixture[str], output: Path, *options: object) -> dict[str, torch.Tensor]:
    """`ddnn train`, with as many threads as the one run of `--jobs 1` has."""
    result = run(capfd, "train", *SMALL, "--epochs", 2, "--seed", 3, "--output", output, *options)
    assert result.status == 0, result.err
    return weights(output)


def test_alone_is_what_ddnn_train_does_with_one_depth(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    summary = compare(capfd, results, "--methods", "alone,ekd", "--seeds", "3")
    alone = results / "runs" / "alone"

    full = train(capfd, tmp_path / "full", "--subnets", "", "--objective", "joint")
    assert same(weights(alone / "resnet14" / "seed3"), full)

    torch.manual_seed(3)  # as `ddnn train --seed 3` starts
    whole = ddnn.build("resnet14", ["resnet8"], num_classes=10, in_channels=1)
    initial = tmp_path / "resnet8.safetensors"
    save_file(whole.extract("resnet8").state_dict(), initial)
    start = "--full", "resnet8", "--subnets", "", "--weights", initial
    own = train(capfd, tmp_path / "subnet", *start, "--objective", "joint")
    assert same(weights(alone / "resnet8" / "seed3"), own)

    ekd = train(capfd, tmp_path / "ekd")
    assert same(weights(results / "runs" / "ekd" / "seed3"), ekd)
    measured = json.loads((tmp_path / "ekd" / "results.json").read_text())["nets"]
    assert {name: [net["accuracy"]] for name, net in measured.items()} == {
        name: net["seeds"] for name, net in summary["methods"]["ekd"].items()
    }


def test_runs_what_is_missing_and_reports_on_all(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "digits"
    compare(capfd, results, "--methods", "alone", "--seeds", "0")
    written = {path: path.stat().st_mtime_ns for path in results.glob("scores/*.json")}
    assert len(written) == 2
    methods = "alone,pruned,joint,ekd,inplace,adn,sampled,cooperative"
    summary = compare(capfd, results, "--methods", methods, "--seeds", "0,1")
    assert all(path.stat().st_mtime_ns == then for path, then in written.items()), "complete runs were run again"
    assert summary["experiment"] == "digits"
    assert list(summary["methods"]) == methods.split(",")
    for nets in summary["methods"].values():
        assert list(nets) == ["resnet8", "resnet14"]
        assert all(len(net["seeds"]) == 2 and net["std"] is not None for net in nets.values())
    assert json.loads((results / "summary.json").read_text()) == summary
    with (results / "table.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 16
    assert (results / "accuracy_over_macs.png").stat().st_size > 10_000
    assert "<html" in (results / "report.html").read_text()
    assert not list(results.glob("runs/**/checkpoints")), "nobody needs them any more"


def start_and_stop(results: Path, how: signal.Signals, *command: object, forking: bool = False) -> tuple[int, str]:
    """Start a comparison of one run, and stop it after an epoch more; gives the exit status and what it said."""
    run_directory = RunDirectory(results / "runs" / "ekd" / "seed0")
    before = len(run_directory.read_metrics())
    words = [*SMALL, "--jobs", "1", *command, "--output", results]
    process = Launched("-m", "ddnn", "compare", *words, env={**os.environ, "OMP_NUM_THREADS": "1"}, forking=forking)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not (
        run_directory.last_checkpoint.exists() and len(run_directory.read_metrics()) > before
    ):
        time.sleep(0.02)
    process.send_signal(how)
    _, message = process.communicate(timeout=120)
    assert not (results / "scores").exists(), "it was complete before it could be cut short"
    return process.returncode, message.strip()


def test_goes_on_where_it_was_cut_short(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = ("--methods", "ekd", "--seeds", "0", "--epochs", "20")
    whole, results = tmp_path / "whole", tmp_path / "cut"
    expected = compare(capfd, whole, *command)
    start_and_stop(results, signal.SIGKILL, *command)
    status, message = start_and_stop(results, signal.SIGINT, *command, forking=True)
    assert (status, message) == (130, "ddnn: interrupted; the same command goes on, with what is complete kept")
    again = compare(capfd, results, *command)
    assert again["methods"]["ekd"] == expected["methods"]["ekd"]
    assert same(weights(results / "runs" / "ekd" / "seed0"), weights(whole / "runs" / "ekd" / "seed0"))


def test_a_run_that_fails_is_named_and_the_others_are_reported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    compare(capfd, results, "--methods", "alone", "--seeds", "0")
    damaged = results / "runs" / "alone" / "resnet14" / "seed0"
    (results / "scores" / "alone-resnet14-seed0.json").unlink()
    (damaged / "checkpoints").mkdir()
    (damaged / "checkpoints" / "last.ckpt").write_bytes(b"half a checkpoint")
    words = ("compare", *SMALL, "--epochs", 2, "--jobs", 1, "--methods", "alone", "--seeds", "0,1", "--output", results)
    result = run(capfd, *words)
    assert (result.status, result.out) == (1, "")
    message = result.err.splitlines()[-1]
    assert message.startswith("ddnn: error: alone resnet14, seed 0: ")
    assert f"last.ckpt is damaged; delete {damaged}, and the same command runs it anew; the report in" in message
    assert list(json.loads((results / "summary.json").read_text())["seeds"].values()) == [[1]]


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["--methods", "alone,ekdd"], "there is no method 'ekdd'; did you mean ekd?"),
        (["--methods", ""], "methods is empty"),
        (["--methods", "ekd,ekd"], "ekd is given twice among the methods"),
        (["--seeds", ""], "seeds is empty; give one or more, such as 0,1,2"),
        (["--seeds", "0,one"], "seeds must be whole numbers such as 0,1,2"),
        (["--seeds", "1,1"], "1 is given twice among the seeds"),
        (["--finetune", "0"], "finetune must be a share of the epochs in (0, 1]"),
        (["--jobs", "0"], "jobs must be at least 1"),
        (["--score", "validation", "--validation", "0"], "score validation needs images that are held out"),
        (["--full", "resnet43"], "resnet44"),
        (["--data", "parquet:nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    options: list[str], part: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    assert part in refused(run(capfd, "compare", *SMALL, "--output", results, *options))
    assert not results.exists()


@pytest.mark.parametrize("key", ["seed", "objective", "resume"])
def test_what_a_comparison_sets_itself_is_no_key(key: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    result = run(capfd, "compare", f"--{key}", "1", "--output", tmp_path / "results")
    assert f"unknown key --{key}" in refused(result, status=2)


def test_results_of_another_comparison_are_left_alone(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    results = tmp_path / "results"
    compare(capfd, results, "--methods", "alone", "--seeds", "0")
    before = {path: path.stat().st_mtime_ns for path in results.rglob("*")}
    other = run(capfd, "compare", *SMALL, "--epochs", 3, "--output", results)
    assert "is another comparison, with epochs 2 there and 3 here" in refused(other)
    assert before == {path: path.stat().st_mtime_ns for path in results.rglob("*")}
