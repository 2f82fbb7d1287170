"""Against a clock that works move on by a known time."""

from collections.abc import Callable
from itertools import islice
from statistics import median

import pytest

from ddnn_runtime import latency
from ddnn_runtime.latency import FEWEST_TURNS, MOST_TURNS, interleaved_for, latencies, turns, turns_for


class Clock:
    """Stands where it is until somebody moves it on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.calls = 0.0, list[str]()
        monkeypatch.setattr(latency.time, "perf_counter", lambda: self.now)

    def work(self, name: str, *seconds: float) -> Callable[[], None]:
        """Takes these times, one call after the other, over and over."""
        number = 0

        def call() -> None:
            nonlocal number
            self.now += seconds[number % len(seconds)]
            self.calls.append(name)
            number += 1

        return call


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_warm_up_does_not_count(clock: Clock) -> None:
    works = {"fast": clock.work("fast", 9.0, 9.0, 1.0), "slow": clock.work("slow", 9.0, 9.0, 2.0)}
    (first, *_) = turns_for(works, budget=0.0)
    assert first == {"fast": pytest.approx(1.0), "slow": pytest.approx(2.0)}


def test_all_works_run_in_each_turn_and_not_always_in_the_same_order(clock: Clock) -> None:
    for _ in islice(turns({name: clock.work(name, 1.0) for name in "abc"}), 8):
        pass
    orders = ["".join(clock.calls[start : start + 3]) for start in range(0, 24, 3)]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert len(set(orders)) > 1


def test_a_settled_work_is_called_before_it_is_timed(clock: Clock) -> None:
    """What finds cold caches is not the call that counts."""
    turn = next(turns({"a": clock.work("a", 5.0, 1.0)}, settle=True))
    assert turn == {"a": pytest.approx(1.0)}
    assert clock.calls == ["a", "a"]


def test_the_budget_ends_a_measurement(clock: Clock) -> None:
    taken = interleaved_for({"a": clock.work("a", 0.125), "b": clock.work("b", 0.125)}, budget=10.0)
    assert len(taken["a"]) == len(taken["b"]) == 20  # of 0.5 s each: two calls of each work


def test_a_slow_work_has_few_turns_and_a_fast_one_not_too_many(clock: Clock) -> None:
    assert len(interleaved_for({"a": clock.work("a", 100.0)}, budget=1.0)["a"]) == FEWEST_TURNS
    assert len(interleaved_for({"a": clock.work("a", 1e-9)}, budget=1.0)["a"]) == MOST_TURNS


def test_a_ratio_holds_though_the_machine_slows_down_in_between() -> None:
    machine = [1.0, 1.0, 5.0, 5.0, 5.0, 1.0, 7.0]
    seconds = {"half": [0.01 * slow for slow in machine], "full": [0.02 * slow for slow in machine]}
    found = latencies(seconds, "full")
    assert found["half"].ratio == pytest.approx(0.5)
    assert found["full"].ratio == 1.0
    assert found["half"].median_ms == pytest.approx(1e3 * median(seconds["half"]))
    assert found["half"].turns == len(machine)


def test_the_95th_percentile_is_that_of_twenty_one_values() -> None:
    """With 21 values the 95th percentile is the 20th of them."""
    seconds = [0.001 * number for number in range(21, 0, -1)]
    assert latencies({"a": seconds}, "a")["a"].p95_ms == pytest.approx(20.0)
