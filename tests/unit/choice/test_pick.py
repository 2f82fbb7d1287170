"""Which condition of a profile is meant, and whether it is about these nets."""

from dataclasses import replace

import pytest

from ddnn.choice.pick import candidates, check_same_nets, pick
from ddnn.config import ChooseConfig
from ddnn.errors import DDNNError, ModelFileError
from ddnn.profiles.profile import Measured, NetFacts
from tests.unit.profiles.samples import EAGER, ONNX, Sample, figures, sample


def test_the_keys_pick_a_condition() -> None:
    profile = sample()
    for keys, expected in [({"runtime": "onnx"}, ONNX), ({"batch_size": 1}, EAGER), ({"threads": 2}, ONNX)]:
        assert pick(profile, ChooseConfig(latency_ms=1.0, **keys)).condition == expected


def test_one_condition_needs_no_key() -> None:
    alone = sample([Measured(EAGER, {"small": figures(1.0), "full": figures(2.0)})])
    assert pick(alone, ChooseConfig(latency_ms=1.0, image_size=32)).condition == EAGER


def test_an_open_question_names_the_keys_and_what_is_there() -> None:
    with pytest.raises(DDNNError, match=r"pick one with --runtime, --batch_size, --threads: eager.*; onnx"):
        pick(sample(), ChooseConfig(latency_ms=1.0))
    with pytest.raises(DDNNError, match=r"nothing for runtime eager, threads 2; what it has: eager.*; onnx"):
        pick(sample(), ChooseConfig(latency_ms=1.0, runtime="eager", threads=2))


def test_candidates_have_the_accuracies_of_the_run() -> None:
    profile = sample()
    small, full = candidates(profile.measured[0], profile, {"small": 0.1, "full": 0.2})
    assert (small.name, small.accuracy, small.latency_ms, small.p95_ms, small.memory_mb) == (
        "small",
        0.1,
        2.0,
        4.0,
        100,
    )
    assert (full.depth, full.trained) == ((2, 2), True)


@pytest.mark.parametrize(
    "other",
    [
        {"tiny": NetFacts((1, 1), 100, 400), "full": NetFacts((2, 2), 300, 1200)},
        {"small": NetFacts((1, 2), 100, 400), "full": NetFacts((2, 2), 300, 1200)},
        {"small": NetFacts((1, 1), 101, 400), "full": NetFacts((2, 2), 300, 1200)},
        {"full": NetFacts((2, 2), 300, 1200)},
    ],
)
def test_a_profile_of_other_nets_is_refused(other: dict[str, NetFacts]) -> None:
    nets = Sample({})
    check_same_nets(sample(), nets, "p.json")
    profile = replace(sample(), nets=other, measured=[Measured(EAGER, dict.fromkeys(other, figures(1.0)))])
    with pytest.raises(ModelFileError, match=r"p\.json is a profile of other nets: .* differ"):
        check_same_nets(profile, nets, "p.json")
