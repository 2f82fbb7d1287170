"""What is found of an untrained depth is what adding it by hand gives, and does not depend on what was tried before."""

from pathlib import Path

import pytest
import torch
import yaml

import ddnn
from ddnn.choice.depths import Bench
from ddnn.choice.images import images_of
from ddnn.choice.space import NoSuchDepth
from ddnn.config import ChooseConfig
from ddnn.data import open_data
from ddnn.measuring.evaluation import evaluate
from ddnn.profiles.network_subject import NetworkSubject
from ddnn.profiles.profile import Condition
from ddnn.runs.run_directory import RunDirectory

CPU = torch.device("cpu")
ASKED = ChooseConfig(latency_ms=1.0, any_depth=True, calibration_images=200)


def saved_run(path: Path, **changes: object) -> ddnn.DepthDynamicNetwork:
    """A run whose network has learnt nothing."""
    config = ddnn.TrainConfig(full="resnet14", subnets="resnet8", train_images=400, **changes)  # type: ignore[arg-type]
    torch.manual_seed(0)
    network = ddnn.build("resnet14", ["resnet8"], num_classes=10, in_channels=1).eval()
    network.data_spec = open_data(config, seed=0).spec
    network.save(path / "network")
    RunDirectory(path).create(config)
    return network


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ddnn.DepthDynamicNetwork]:
    path = tmp_path_factory.mktemp("runs") / "run"
    return path, saved_run(path)


@pytest.fixture
def bench(run: tuple[Path, ddnn.DepthDynamicNetwork], tmp_path: Path) -> Bench:
    path, network = run
    images = images_of(network, path, ASKED, CPU)
    condition = Condition("eager", "fp32", 1, (8, 8), 1)
    return Bench(NetworkSubject(network, tmp_path), images, condition, 0.01, False, tmp_path)


def test_a_depth_is_calibrated_and_scored_as_by_hand(run: tuple[Path, ddnn.DepthDynamicNetwork], bench: Bench) -> None:
    path, _ = run
    bench.untrained((1, 1, 2))  # must leave no trace
    found = bench.untrained((2, 1, 2))
    by_hand, config = ddnn.load(path), RunDirectory(path).read_config()
    data = open_data(config, seed=0, spec=by_hand.data_spec)
    batches = [images for images, _ in data.training("cpu")][:3]  # of 64 images each, for 200
    by_hand.add_subnet("middle", (2, 1, 2), calibrate_with=batches)
    held = data.validation("cpu")
    assert held is not None
    assert found.accuracy == evaluate(by_hand, held)["middle"].accuracy
    assert (found.name, found.trained, found.memory_mb) == ("depth-2-1-2", False, None)
    rebuilt = bench.with_depth((2, 1, 2))
    x = torch.randn(4, 1, 8, 8)
    assert torch.equal(rebuilt(x, "depth-2-1-2"), by_hand(x, "middle"))


def test_the_trained_network_is_left_as_it_was(run: tuple[Path, ddnn.DepthDynamicNetwork], bench: Bench) -> None:
    _, network = run
    before = {name: tensor.clone() for name, tensor in network.tensors().items()}
    bench.untrained((1, 2, 1))
    assert network.names == ("resnet8", "resnet14")
    after = network.tensors()
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_trained_nets_are_scored_on_the_same_images(run: tuple[Path, ddnn.DepthDynamicNetwork], bench: Bench) -> None:
    path, network = run
    images = images_of(network, path, ASKED, CPU)
    scores = evaluate(network, images.scoring)
    found = bench.trained()
    assert {one.name: one.accuracy for one in found} == {name: scores[name].accuracy for name in network.names}
    assert found[-1].ratio == 1.0


def test_times_of_depths_and_trained_nets_come_from_the_same_turns(bench: Bench) -> None:
    times = bench.times([(1, 1, 2), (2, 2, 1)])
    assert set(times) == {"resnet8", "resnet14", "depth-1-1-2", "depth-2-2-1"}
    assert times["resnet14"].ratio == 1.0
    assert len({latency.turns for latency in times.values()}) == 1


def test_a_depth_that_no_net_has_is_told_apart(bench: Bench) -> None:
    with pytest.raises(NoSuchDepth):
        bench.untrained((3, 1, 1))


class TestImages:
    def test_held_out_images_decide_and_test_images_judge(
        self, run: tuple[Path, ddnn.DepthDynamicNetwork], bench: Bench
    ) -> None:
        path, network = run
        images = images_of(network, path, ASKED, CPU)
        assert images.scored_on == "validation images of digits"
        seen = {image.numpy().tobytes() for batch in images.for_norms for image in batch}
        held = {image.numpy().tobytes() for batch, _ in images.scoring for image in batch}
        assert images.test is not None
        test = {image.numpy().tobytes() for batch, _ in images.test for image in batch}
        assert not held & test
        assert not held & seen
        assert images.calibrated_on == 192  # whole batches of 64
        scores = bench.test_scores(bench.with_depth((2, 1, 1)))
        assert scores is not None
        assert set(scores) == {"resnet8", "depth-2-1-1", "resnet14"}

    def test_few_calibration_images_are_a_part_of_a_batch(self, run: tuple[Path, ddnn.DepthDynamicNetwork]) -> None:
        path, network = run
        asked = ChooseConfig(latency_ms=1.0, any_depth=True, calibration_images=10)
        assert images_of(network, path, asked, CPU).calibrated_on == 10

    def test_test_images_decide_where_none_were_held_out(self, tmp_path: Path) -> None:
        network = saved_run(tmp_path / "run", validation=0.0)
        images = images_of(network, tmp_path / "run", ASKED, CPU)
        assert images.scored_on == "test images of digits"
        assert images.test is None

    def test_nobody_knows_what_was_held_out_of_other_data(self, run: tuple[Path, ddnn.DepthDynamicNetwork]) -> None:
        path, network = run
        asked = ChooseConfig(latency_ms=1.0, any_depth=True, data="digits")
        assert images_of(network, path, asked, CPU).scored_on == "test images of digits"
        config = yaml.safe_load((path / "config.yaml").read_text())
        assert config["validation"] > 0
