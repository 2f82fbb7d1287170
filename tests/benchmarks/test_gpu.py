"""`benchmarks/gpu.py` at toy size: every stage runs, nothing is done twice, and one that fails ends no other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from ddnn.config import ShardsConfig
from ddnn.data.sources import open_source
from tests.processes import Launched

ROOT = Path(__file__).resolve().parents[2]


def gpu(out: Path, *more: object, forking: bool = True, status: int = 0) -> str:
    """What the command says. Its processes are forked, or start from nothing as they do for a person."""
    words = (ROOT / "benchmarks" / "gpu.py", "--dry", "--epochs", 1, "--out", out, *more)
    if forking:
        process = Launched(*words, env={**os.environ, "OMP_NUM_THREADS": "1"}, forking=True)
        said, errors = process.communicate(timeout=900)
        ended = process.wait()
    else:
        done = subprocess.run([sys.executable, *map(str, words)], cwd=out.parent, capture_output=True, text=True)
        said, errors, ended = done.stdout, done.stderr, done.returncode
    assert ended == status, said + errors
    return said


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("forking", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_every_stage_at_toy_size(forking: bool, tmp_path: Path) -> None:
    out = tmp_path / "results"
    gpu(out, "--minutes", 60, forking=forking)
    found = {stage: lines(out / f"{stage}.jsonl") for stage in ("smoke", "step", "claim", "inference")}
    assert [row for rows in found.values() for row in rows if not row["ok"]] == []
    modes = {row["mode"] for row in found["step"]}
    assert modes == {"eager", "graph", "ddnn train", "compiled", "compiled, graph"}
    runs = {row["key"] for row in found["claim"]}
    assert runs == {f"digits-resnet14/{run}-seed0" for run in ("alone-resnet8", "alone-resnet14", "joint")}
    assert (out / "results" / "digits-resnet14" / "report.html").is_file()
    assert json.loads((out / "summary.json").read_text())["card"] == "no GPU: a dry run"


def test_without_time_no_stage_begins_and_what_is_there_is_summed_up(tmp_path: Path) -> None:
    out = tmp_path / "results"
    assert "failed, or out of time: smoke, step, claim, inference" in gpu(out, "--minutes", 0, forking=False, status=4)
    assert json.loads((out / "summary.json").read_text())["step"] == []


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


@pytest.mark.usefixtures("stages")
def test_a_measurement_that_fails_is_written_down_and_made_again(tmp_path: Path) -> None:
    from gpu_stages.record import Options, Record  # pyright: ignore

    options = Options(tmp_path, 60.0, True, None, tmp_path / "runs", 1)
    record = Record(options, "smoke", {"gpu": "none"})
    record.measure("it", lambda: {"share": 1 / 0})
    record.measure("it", lambda: {"share": 1})
    record.measure("it", lambda: {"share": 2})
    record.measure("more", dict, needs=100.0)
    assert [(row["key"], row["ok"], row.get("share")) for row in lines(record.path)] == [
        ("it", False, None),
        ("it", True, 1),
    ]
    record.path.write_text(record.path.read_text() + '{"key": "cut sho')
    assert record.has("it")


@pytest.mark.usefixtures("stages")
def test_the_real_networks_can_be_built() -> None:
    from gpu_stages.cases import REAL  # pyright: ignore

    with torch.device("meta"):
        names = {case.name: case.problem.network().names for case in REAL}
    assert names["resnet56"] == ("resnet20", "resnet32", "resnet56")
    assert set(names) == {"resnet56", "resnet34", "resnet101", "convnext", "vit"}


@pytest.mark.usefixtures("stages")
def test_the_real_runs_can_be_configured(tmp_path: Path) -> None:
    from gpu_stages.cases import REAL as CASES  # pyright: ignore
    from gpu_stages.claim import FIRST, REAL, SEEDS, THEN, configuration  # pyright: ignore
    from gpu_stages.record import Options  # pyright: ignore
    from gpu_stages.step import train_config  # pyright: ignore

    options = Options(tmp_path, 60.0, False, tmp_path / "data", tmp_path / "runs", 30)
    for comparison in REAL:
        config = configuration(options, comparison, (*FIRST, *THEN), SEEDS)
        assert (config.train.device, config.train.epochs, config.train.ekd.teacher) == ("cuda", 30, "full")
        assert (config.train.ekd.alpha, config.train.ekd.beta, config.train.ekd.temperature) == (1.0, 0.0, 1.0)
    for case in CASES:
        if case.trained:
            assert train_config(case, options, tmp_path / "run").batch_size == case.problem.batch
    assert str(options.setting) == "cuda, bf16, eager, channels-last"


@pytest.mark.usefixtures("stages")
def test_packed_images_fit_and_are_the_same(tmp_path: Path) -> None:
    import io

    from gpu_stages.pack import pack  # pyright: ignore

    source = tmp_path / "source"
    source.mkdir()
    for split in ("train", "test"):
        images = []
        for number in range(6):
            content = io.BytesIO()
            Image.new("RGB", (32, 32), (40 * number, 10, 200)).save(content, "PNG")
            images.append({"bytes": content.getvalue(), "path": None})
        table = pa.table({"image": images, "label": [0, 1, 2] * 2})
        pq.write_table(table, source / f"{split}.parquet", compression="none")
    whole = pack(source, tmp_path / "copied")
    assert (tmp_path / "copied" / "train.parquet").read_bytes() == (source / "train.parquet").read_bytes()
    pack(source, tmp_path / "jpeg", limit=2 * whole, copy=False)
    one, two = (open_source(f"parquet:{tmp_path / name}", "", ShardsConfig()) for name in ("copied", "jpeg"))
    for index in range(6):
        difference = one.split("test").image(index, 3).float() - two.split("test").image(index, 3).float()
        assert difference.abs().max() <= 4
    assert one.split("test").labels.tolist() == two.split("test").labels.tolist()
    with pytest.raises(ValueError, match="does not fit"):
        pack(source, tmp_path / "none", limit=10)
