"""What is measured, and what is said of it."""

from dataclasses import replace
from statistics import mean

import numpy as np
import pytest
import torch
from torch import Tensor

from ddnn.cascading.costs import Costs
from ddnn.cascading.measure import CHOSEN, Outcome, compare, fixed_nets, measured, sample
from ddnn.cascading.plot import accuracy_over_cost
from ddnn.cascading.report import Comparison, FixedNet, MeasuredCascade, Report
from ddnn.cascading.thresholds import Point
from ddnn.cascading.timing import Timings, time_calls
from ddnn.cascading.verdict import verdict
from ddnn.cascading.votes import Votes
from ddnn_runtime.cascade_spec import CalibratedOn
from ddnn_runtime.latency import no_wait

MACS = Costs("macs", ((("a", "b"), 10.0), (("a",), 2.0), (("b",), 30.0)))


class TestTimings:
    def test_means_and_how_sure_they_are(self) -> None:
        timings = Timings({"net": [0.002, 0.004, 0.003]}, batch_size=2)
        assert timings["net"].ms == pytest.approx(1.5)
        assert timings["net"].plus_minus == pytest.approx(4.30265 * 0.5 / 3**0.5)  # Student's t, 2 degrees
        assert timings["net"].turns == 3

    def test_what_disturbs_both_alike_leaves_the_ratio_sure(self) -> None:
        base = [1.0, 5.0, 2.0, 9.0]
        assert Timings({"half": [x / 2 for x in base], "net": base}, 1).ratio("half", "net") == (0.5, 0.0)

    def test_the_interval_of_a_ratio_holds_the_true_one(self) -> None:
        random, hits = np.random.default_rng(0), 0
        for _ in range(300):
            base = random.normal(10, 1, 100)
            fast = np.where(random.random(100) < 0.6, 2.0, 12.0) + random.normal(0, 0.1, 100)  # 0.6 on average
            ratio, plus_minus = Timings({"fast": fast.tolist(), "net": base.tolist()}, 1).ratio("fast", "net")
            hits += abs(ratio - 0.6) <= plus_minus
        assert 0.9 < hits / 300 < 0.99

    def test_all_calls_get_the_same_images_in_each_turn(self) -> None:
        seen: dict[str, list[int]] = {"one": [], "other": []}
        calls = {name: lambda images, own=own: own.append(int(images)) for name, own in seen.items()}
        batches = [torch.tensor([number]) for number in range(4)]
        timings = time_calls(calls, batches, 1e-9, no_wait)
        assert seen["one"] == seen["other"]
        assert seen["one"][2:8] == [0, 1, 2, 3, 0, 1]  # after two to warm up
        assert timings["one"].turns == 10


class TestSample:
    @staticmethod
    def batches(total: int, size: int) -> list[tuple[Tensor, Tensor]]:
        images = torch.arange(total).float()[:, None, None, None].expand(-1, 1, 2, 2)
        return [(part, part[:, 0, 0, 0].long()) for part in images.split(size)]

    def test_all_images_where_there_are_few(self) -> None:
        found = sample(self.batches(10, 4), 10, 3)
        assert [len(batch) for batch in found] == [3, 3, 3]
        assert len({int(image[0, 0, 0]) for batch in found for image in batch}) == 9

    def test_images_from_everywhere_where_there_are_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ddnn.cascading.measure.MOST_TIMED", 10)
        found = sample(self.batches(1000, 64), 1000, 1)
        numbers = sorted(int(batch[0, 0, 0, 0]) for batch in found)
        assert len(numbers) == 10
        assert [number // 100 for number in numbers] == list(range(10))

    def test_memory_is_a_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ddnn.cascading.measure.MOST_BYTES", 16 * 7)
        assert len(sample(self.batches(100, 10), 100, 1)) == 7

    def test_a_batch_larger_than_the_data_is_all_of_it(self) -> None:
        assert [len(batch) for batch in sample(self.batches(5, 2), 5, 8)] == [5]


def test_figures_are_those_of_the_definition() -> None:
    right = np.array([[1, 1, 0, 0, 1], [1, 1, 1, 1, 0]], dtype=bool)
    votes = Votes(("a", "b"), np.array([[0.9, 0.8, 0.2, 0.3, 0.7], [0.5] * 5], dtype=np.float32), right)
    point = Point({"a": 0.6}, "b", accuracy=0.9, cost=20.0)
    who, answers = votes.cascade(point.thresholds, point.last)
    assert who.tolist() == [0, 0, 1, 1, 0]
    assert answers.tolist() == [True] * 5
    times = Timings({"a": [1e-3, 1e-3], "b": [4e-3, 4e-3], CHOSEN: [2e-3, 2e-3]}, 1)
    nets = fixed_nets(votes, votes, MACS, times)
    assert [(net.accuracy, net.macs, net.ms) for net in nets.values()] == [(0.6, 12, 1), (0.8, 40, 4)]
    cascade = measured(point, Outcome(who, answers), MACS, times, CHOSEN)
    assert cascade.answered == {"a": 0.6, "b": 0.4}
    assert cascade.macs == pytest.approx(mean([12, 12, 42, 42, 12]))
    found = compare(Outcome(who, answers), votes, nets, cascade, times)
    assert (found.net, found.macs_ratio, found.ms_ratio) == ("b", cascade.macs / 40, 0.5)
    assert found.accuracy_difference == pytest.approx(0.2)
    assert found.accuracy_interval[0] < 0.2 < found.accuracy_interval[1]


def report(accuracy: float, macs: float, ms_ratio: float = 0.5) -> Report:
    """A cascade with that accuracy and cost, against nets a (0.8, 12) and b (0.9, 40)."""
    nets = {
        "a": FixedNet(0.8, 0.8, (0.7, 0.9), 12.0, 1.0, 0.1),
        "b": FixedNet(0.9, 0.9, (0.8, 0.95), 40.0, 4.0, 0.1),
    }
    cascade = MeasuredCascade({"a": 0.6}, "b", 0.9, 20.0, accuracy, (0.8, 0.95), macs, 2.0, 0.1, {"a": 0.7, "b": 0.3})
    difference = accuracy - 0.9
    return Report(
        engine="PyTorch on cpu",
        device="a machine",
        threads=1,
        batch_size=1,
        timed_batches=10,
        test_images=100,
        target={"accuracy": 0.9},
        unit="macs",
        nets=nets,
        cascade=cascade,
        curve=(replace(cascade, accuracy=0.85, macs=15.0), replace(cascade, accuracy=0.91, macs=30.0)),
        comparison=Comparison("b", difference, (difference - 0.01, difference + 0.01), macs / 40, ms_ratio, 0.02),
        calibrated_on=CalibratedOn("digits", "validation", 50),
        run="runs/digits",
    )


class TestVerdict:
    def test_cheaper_at_equal_accuracy(self) -> None:
        text = verdict(report(0.9, 20.0))
        assert text.startswith("At equal or higher accuracy the cascade has a lower average cost")
        assert "90.00 % against 90.00 %" in text
        assert "50.0 % fewer multiply-accumulates and 50.0 % less time (± 2.0)" in text

    def test_dearer_at_equal_accuracy(self) -> None:
        text = verdict(report(0.92, 44.0, ms_ratio=1.01))
        assert "does not have a lower average cost than the best fixed depth, b" in text
        assert "10.0 % more multiply-accumulates and no measurable difference in time (+1.0 % ± 2.0)" in text

    def test_less_accurate(self) -> None:
        text = verdict(report(0.88, 20.0))
        assert text.startswith("At equal accuracy the cascade is not cheaper than the best fixed depth, b: it is right")
        assert "a difference of -2.00 points (95 % interval -3.00 to -1.00)" in text
        assert "Of the other cascades reported, the cheapest that reaches it (91.00 %) has 25.0 % fewer" in text

    def test_less_accurate_perhaps_by_chance_and_none_reaches_it(self) -> None:
        less = report(0.895, 20.0)
        text = verdict(replace(less, curve=less.curve[:1]))
        assert text.startswith("At equal accuracy the cascade is not shown to be cheaper than the best fixed depth, b")
        assert "a difference that may be chance of -0.50 points (95 % interval -1.50 to 0.50)" in text
        assert "None of the other cascades reported reaches it either." in text

    def test_a_single_net_is_called_one(self) -> None:
        alone = report(0.9, 40.0)
        alone = replace(alone, cascade=replace(alone.cascade, thresholds={}, answered={"b": 1.0}))
        assert "than b alone" in verdict(alone)
        assert "at equal accuracy no cascade is cheaper" in verdict(alone)
        other = replace(alone, cascade=replace(alone.cascade, last="a"))
        assert verdict(other).startswith("On the held-out images no cascade of several nets does better than a alone")


@pytest.mark.parametrize("unit", ["macs", "ms"])
def test_the_plot_is_a_picture(unit: str) -> None:
    content = accuracy_over_cost(replace(report(0.9, 20.0), unit=unit, run="runs/$x^"))
    assert content.startswith(b"\x89PNG")
