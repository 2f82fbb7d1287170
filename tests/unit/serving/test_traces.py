"""Arrivals: as many and as often as asked for, the same for a seed; and recorded ones, right or refused."""

from math import inf
from pathlib import Path

import numpy as np
import pytest

from ddnn_runtime.errors import DDNNError
from ddnn_runtime.serving.request import Request
from ddnn_runtime.serving.traces import bursts, poisson, recorded, requests


@pytest.mark.parametrize("times", [poisson, bursts])
def test_rate_and_seed(times: object) -> None:
    of = poisson if times is poisson else bursts
    found = np.array(of(50.0, 50_000, 1))
    assert len(found) == 50_000
    assert (np.diff(found) >= 0).all()
    assert len(found) / found[-1] == pytest.approx(50, rel=0.05)
    assert of(50.0, 100, 1) == of(50.0, 100, 1) != of(50.0, 100, 2)


def test_poisson_is_memoryless_and_bursts_are_not() -> None:
    """The counts of a Poisson process vary as much as their mean; those of bursts far more."""
    dispersion = {}
    for of in (poisson, bursts):
        counts = np.histogram(of(50.0, 50_000, 1), np.arange(0, 900))[0]
        dispersion[of] = counts.var() / counts.mean()
    assert dispersion[poisson] == pytest.approx(1, abs=0.15)
    assert dispersion[bursts] > 5


def test_requests_ask_alike() -> None:
    found = requests([0.5, 1.0], 20, Request(0, 0.0, images=2, least_accuracy=0.8))
    assert found[1] == Request(1, 1.0, 1.02, 2, least_accuracy=0.8)
    assert requests([0.5])[0].deadline == inf


def test_recorded_lines(tmp_path: Path) -> None:
    (tmp_path / "trace.jsonl").write_text(
        '{"at_s": 2, "subnet": "resnet8", "images": 3}\n\n{"at_s": 1.5, "deadline_ms": 20, "cascade": true}\n'
    )
    (tmp_path / "trace.csv").write_text(
        "at_s,deadline_ms,subnet,images,cascade\r\n2,,resnet8,3,\r\n1.5,20,,,true\r\n", newline=""
    )
    expected = [Request(0, 1.5, 1.52, cascade=True), Request(1, 2.0, inf, 3, "resnet8")]
    assert recorded(tmp_path / "trace.jsonl") == recorded(str(tmp_path / "trace.csv")) == expected


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("trace.jsonl", '{"at_s": 1}\n{"at_s": -1}\n', "line 2 of .* is no request: at_s must be"),
        ("trace.jsonl", '{"deadline_ms": 1}\n', "line 1 of .* is no request"),
        ("trace.jsonl", '{"at_s": 1, "depth": 3}\n', "has 'depth', which"),
        ("trace.jsonl", '{"at_s": 1, "images": 0}\n', "images must be"),
        ("trace.jsonl", '{"at_s": NaN}\n', "line 1 of"),
        ("trace.jsonl", "nonsense\n", "line 1 of"),
        ("trace.jsonl", b"\xff\xfe", "is not UTF-8"),
        ("trace.csv", "at_s,images\n1,many\n", "line 2 of"),
        ("trace.csv", "at_s\n1,2\n", "line 2 of"),
    ],
)
def test_what_is_no_trace_is_refused(tmp_path: Path, name: str, text: str | bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(DDNNError, match=message):
        recorded(path)


def test_a_trace_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DDNNError, match="cannot be read: No such file"):
        recorded(tmp_path / "trace.csv")


@pytest.mark.parametrize("rate", [0.0, -1.0, inf, float("nan")])
def test_rates_that_make_no_sense(rate: float) -> None:
    with pytest.raises(DDNNError, match="rate above 0"):
        poisson(rate, 10)
    with pytest.raises(DDNNError, match="share of the time"):
        bursts(1.0, 10, share=1.0)
