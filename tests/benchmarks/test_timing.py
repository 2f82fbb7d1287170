"""The clock of the benchmarks, against works that move a clock on by a known time."""

import time
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[2] / "benchmarks" / "timing.py"


@pytest.fixture(scope="module")
def timing() -> Any:
    spec = spec_from_file_location("benchmark_timing", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], None]]:
    """Makes works that take these times, one call after the other, over and over."""
    now = 0.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)

    def taking(*seconds: float) -> Callable[[], None]:
        number = 0

        def call() -> None:
            nonlocal now, number
            now += seconds[number % len(seconds)]
            number += 1

        return call

    return taking


def test_each_work_has_its_own_time_and_warm_up_does_not_count(timing: Any, work: Any) -> None:
    works = {"fast": work(9.0, 1.0, 1.0, 1.0), "slow": work(9.0, 2.0, 2.0, 2.0)}
    taken = timing.interleaved(works, repeats=3, warmup=1)
    assert taken == {"fast": pytest.approx([1.0] * 3), "slow": pytest.approx([2.0] * 3)}


def test_of_several_calls_in_a_row_the_mean_counts(timing: Any, work: Any) -> None:
    assert timing.interleaved({"a": work(1.0, 3.0)}, repeats=2, warmup=0, calls=2) == {"a": [2.0, 2.0]}
    assert timing.seconds_of(work(1.0, 3.0), calls=4) == 2.0


def test_figures_of_turns(timing: Any) -> None:
    assert timing.milliseconds([0.001, 0.002, 0.003]) == pytest.approx({"median_ms": 2, "low_ms": 1.5, "high_ms": 2.5})
    found = timing.ratio([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], [1.0, 1.0, 1.0])
    assert (found["ratio"], found["low"], found["high"]) == (1.0, 0.75, 1.25)
    assert found["plus_minus"] == pytest.approx(1.57 * 0.5 / 3**0.5)
