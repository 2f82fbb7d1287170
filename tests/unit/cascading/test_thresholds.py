"""The grid against every cascade counted image by image."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

import ddnn
from ddnn.cascading.costs import Costs, macs_of
from ddnn.cascading.thresholds import MOST_NETS, Point, boosted_front, choose, front, levels, levels_of, thin
from ddnn.cascading.votes import Sayings, Votes, gather, gather_logits
from ddnn.engines.torch_engine import TorchEngine
from ddnn.errors import DataError, DDNNError
from ddnn.measuring.macs import cost

NAMES = ("a", "b", "c")
COSTS = Costs("macs", ((NAMES, 4.0), (("a",), 1.0), (("b", "c"), 2.0), (("b",), 3.0), (("c",), 9.0)), deciding=0.5)


def made_up(seed: int, names: tuple[str, ...] = NAMES, images: int = 40) -> Votes:
    """Nets that are more often right the deeper they are, and the surer they are."""
    random = np.random.default_rng(seed)
    confidences = random.beta(3, 1, (len(names), images)).round(2).astype(np.float32)  # some are equal
    depth = np.linspace(0.7, 1.0, len(names))[:, None]
    return Votes(names, confidences, random.random((len(names), images)) < confidences * depth)


def counted(votes: Votes, names: tuple[str, ...], thresholds: dict[str, float]) -> tuple[float, float]:
    """Accuracy and mean cost, image by image, as the definition says."""
    right, spent = 0, 0.0
    own = {"a": (4 + 1, 0, 0), "b": (4 + 2 + 3, 2 + 3, 0), "c": (4 + 2 + 9, 2 + 9, 9)}  # after none, after a, after b
    for image in range(votes.images):
        asked: list[str] = []
        for name in names:
            spent += own[name][2 if "b" in asked else 1 if "a" in asked else 0] + 0.5 * (name != names[-1])
            asked.append(name)
            place = votes.names.index(name)
            if name == names[-1] or votes.confidences[place, image] >= np.float32(thresholds[name]):
                right += bool(votes.right[place, image])
                break
    return right / votes.images, spent / votes.images


@pytest.mark.parametrize("seed", range(3))
def test_the_front_is_that_of_all_cascades_of_the_grid(seed: int) -> None:
    votes = made_up(seed)
    every = []
    for size in (1, 2, 3):
        for names in combinations(NAMES, size):
            limits = [levels(votes.only((name,)).confidences[0], levels_of(size - 1)) for name in names[:-1]]
            for values in product(*limits):
                every.append(counted(votes, names, dict(zip(names, map(float, values), strict=False))))
    best: list[tuple[float, float]] = []
    for accuracy, spent in sorted(every, key=lambda pair: (pair[1], -pair[0])):
        if not best or accuracy > best[-1][0]:
            best.append((accuracy, spent))
    found = front(votes, COSTS)
    np.testing.assert_allclose([(point.accuracy, point.cost) for point in found], best)
    for point in found:  # and each does what it says
        np.testing.assert_allclose(counted(votes, point.names, dict(point.thresholds)), (point.accuracy, point.cost))
        who, right = votes.cascade(point.thresholds, point.last)
        answered = np.bincount(who, minlength=len(point.names)) / votes.images
        assert right.mean() == pytest.approx(point.accuracy)
        assert COSTS.average(point.names, answered.tolist()) == pytest.approx(point.cost)


def test_a_share_is_chosen_where_nets_that_are_half_right_are_right_together() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 400)
    truth = 2.0 * np.eye(3)[labels]
    logits = np.stack([truth + random.normal(0, 2, truth.shape) for _ in NAMES]).astype(np.float32)
    said = Sayings(NAMES, logits, labels)
    for share in (0.0, 1.0):
        votes = said.votes(("a", "c"), share)
        both = logits[2] + share * logits[0]
        assert (votes.right[1] == (both.argmax(axis=1) == labels)).all()
    with_shares, without = boosted_front(said, NAMES, COSTS, (0.0, 0.5, 1.0)), boosted_front(said, NAMES, COSTS, (0.0,))
    assert with_shares[-1].accuracy > without[-1].accuracy
    assert with_shares[-1].boost > 0
    own = front(said.votes(NAMES, 0.0), COSTS)
    assert without == own


def test_leaving_a_net_out_is_tried() -> None:
    votes = made_up(0)
    useless = Costs("macs", ((("a",), 1.0), (("b",), 100.0), (("c",), 5.0)))
    assert ("a", "c") in {point.names for point in front(votes, useless)}
    assert all("b" not in point.names for point in front(votes.only(("a", "c")), useless))


def test_many_nets_are_searched_too() -> None:
    names = tuple("abcdefg")
    costs = Costs("macs", tuple(((name,), float(place + 1)) for place, name in enumerate(names)))
    found = front(made_up(0, names, 200), costs)
    assert max(len(point.names) for point in found) <= MOST_NETS
    assert [point.cost for point in found] == sorted(point.cost for point in found)
    assert [point.accuracy for point in found] == sorted(point.accuracy for point in found)


class TestLevels:
    def test_they_lie_at_quantiles_and_between_confidences(self) -> None:
        confidences = np.arange(100, dtype=np.float32) / 128
        found = levels(confidences, 3)
        np.testing.assert_allclose(found, np.array([24.5, 49.5, 74.5]) / 128)

    def test_equal_confidences_have_no_threshold_between_them(self) -> None:
        assert levels(np.ones(5, dtype=np.float32), 10).size == 0
        assert levels(np.array([0.25] * 4 + [0.75] * 4, dtype=np.float32), 10).tolist() == [0.5]

    def test_neighbouring_numbers_are_told_apart(self) -> None:
        one = np.float32(1)
        below = np.nextafter(one, np.float32(0))
        (found,) = levels(np.array([below, one]), 4)
        assert below < found <= one

    def test_a_net_that_is_always_as_sure_is_asked_alone_or_last(self) -> None:
        votes = made_up(0)
        votes.confidences[0] = 1
        assert all(point.names == ("a",) or "a" not in point.names for point in front(votes, COSTS))


class TestChoose:
    points = (Point({}, "a", 0.7, 1.0), Point({"a": 0.5}, "b", 0.8, 2.0), Point({}, "b", 0.9, 4.0))

    def test_the_cheapest_that_is_accurate_enough(self) -> None:
        assert choose(self.points, {"accuracy": 0.75}) is self.points[1]
        assert choose(self.points, {"accuracy": 0.8}) is self.points[1]
        assert choose(self.points, {"accuracy": 0.1}) is self.points[0]

    def test_the_most_accurate_that_is_cheap_enough(self) -> None:
        assert choose(self.points, {"macs": 3.9}) is self.points[1]
        assert choose(self.points, {"latency_ms": 4.0}) is self.points[2]

    def test_what_cannot_be_reached_is_refused_with_the_nearest(self) -> None:
        with pytest.raises(DDNNError, match=r"95.00 % on the held-out images; the best, of b, reaches 90.00 %"):
            choose(self.points, {"accuracy": 0.95})
        with pytest.raises(DDNNError, match=r"at most 0\.5 ms an image; the cheapest, a, costs 1"):
            choose(self.points, {"latency_ms": 0.5})


def test_thinned_the_ends_stay() -> None:
    points = [Point({}, "a", place / 100, float(place)) for place in range(100)]
    assert [point.cost for point in thin(points, 4)] == [0, 33, 66, 99]
    assert thin(points[:2], 8) == points[:2]


class TestTorch:
    """What is counted and simulated is what the network does."""

    @pytest.fixture(scope="class")
    def network(self) -> ddnn.DepthDynamicNetwork:
        torch.manual_seed(0)
        network = ddnn.build("resnet20", {"tiny": (1, 1, 1), "middle": (2, 1, 2)}, num_classes=5).train()
        network.forward_all(torch.randn(64, 3, 16, 16))
        return network.eval()

    def test_the_pieces_of_a_net_cost_what_the_net_costs(self, network: ddnn.DepthDynamicNetwork) -> None:
        costs = macs_of(TorchEngine(network, (3, 16, 16)))
        for name in network.names:
            assert costs.added([name]) == [cost(network[name], (3, 16, 16)).macs]
        together = sum(costs.added(network.names))
        apart = sum(cost(network[name], (3, 16, 16)).macs for name in network.names)
        assert max(cost(network[name], (3, 16, 16)).macs for name in network.names) < together < apart

    def test_a_simulated_cascade_answers_as_a_real_one(self, network: ddnn.DepthDynamicNetwork) -> None:
        engine = TorchEngine(network, (3, 16, 16))
        images, labels = torch.randn(48, 3, 16, 16), torch.randint(5, (48,))
        votes = gather(engine.names, engine.opinions, zip(images.split(20), labels.split(20), strict=True))
        for point in front(votes, macs_of(engine)):
            logits, who, _ = engine.cascade(images, point.thresholds, point.last)
            simulated, right = votes.cascade(point.thresholds, point.last)
            assert who.tolist() == simulated.tolist()
            assert ((logits.argmax(axis=1) == labels.numpy()) == right).all()

    def test_with_shares_too(self, network: ddnn.DepthDynamicNetwork) -> None:
        engine = TorchEngine(network, (3, 16, 16))
        images, labels = torch.randn(48, 3, 16, 16), torch.randint(5, (48,))
        batches = list(zip(images.split(20), labels.split(20), strict=True))
        said = gather_logits(engine.names, engine.joint, batches)
        points = boosted_front(said, engine.names, macs_of(engine), (0.0, 0.5))
        halves = boosted_front(said, engine.names, macs_of(engine), (0.5,))
        assert {point.boost for point in points} <= {0.0, 0.5}
        assert {point.boost for point in halves} == {0.0, 0.5}, "single nets have nothing to add"
        for point in [*points, *halves]:
            votes = said.votes(point.names, point.boost)
            simulated, right = votes.cascade(point.thresholds, point.last)
            logits, who, _ = engine.cascade(images, point.thresholds, point.last, point.boost)
            assert who.tolist() == simulated.tolist()
            assert ((logits.argmax(axis=1) == labels.numpy()) == right).all()
            assert right.mean() == pytest.approx(point.accuracy)

    def test_without_images_there_is_nothing_to_ask(self, network: ddnn.DepthDynamicNetwork) -> None:
        with pytest.raises(DataError):
            gather(network.names, TorchEngine(network, (3, 16, 16)).opinions, [])
