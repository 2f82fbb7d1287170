from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnn.config import TrainConfig
from ddnn.errors import DDNNError
from ddnn.training.draw import Lesson, alternating, draw_nets, draws_all, is_full_alone, never_drawn

NAMES = ("a", "b", "c", "d", "full")


@given(
    nets=st.integers(2, 12),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
    epoch=st.integers(0, 10_000),
    step=st.integers(0, 10**7),
)
def test_a_draw_is_some_subnets_and_the_full_net_in_order(
    nets: int, share: float, seed: int, epoch: int, step: int
) -> None:
    names = tuple(f"net{number}" for number in range(nets))
    count = max(1, round(share * (nets - 1)))
    drawn = draw_nets(names, count, seed, epoch, step)
    assert len(drawn) == len(set(drawn)) == count + 1
    assert drawn[-1] == names[-1]
    assert list(drawn) == [name for name in names if name in drawn]
    assert drawn == draw_nets(names, count, seed, epoch, step)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_all_sets_are_drawn_equally_often(count: int) -> None:
    draws = Counter(draw_nets(NAMES, count, 0, epoch, step)[:-1] for epoch in range(10) for step in range(300))
    sets = list(combinations(NAMES[:-1], count))
    expected = 3000 / len(sets)
    squares = sum((draws[chosen] - expected) ** 2 / expected for chosen in sets)
    assert set(draws) == set(sets)
    assert squares < 20.5  # chi-squared with 5 degrees of freedom exceeds it once in a thousand times


def test_each_step_epoch_and_seed_draws_anew() -> None:
    def sequence(seed: int, epoch: int) -> list[tuple[str, ...]]:
        return [draw_nets(NAMES, 2, seed, epoch, step) for step in range(30)]

    assert len({tuple(sequence(seed, epoch)) for seed in range(3) for epoch in range(3)}) == 9


def test_none_and_all_mean_all() -> None:
    assert draw_nets(NAMES, None, 0, 0, 0) == draw_nets(NAMES, 4, 0, 0, 0) == NAMES
    assert draw_nets(("full",), None, 0, 0, 0) == ("full",)


@pytest.mark.parametrize(("drawn", "subnets", "allowed"), [(0, "a,b", 2), (-1, "a,b", 2), (3, "a, b", 2), (1, "", 0)])
def test_the_configuration_refuses_what_cannot_be_drawn(drawn: int, subnets: str, allowed: int) -> None:
    with pytest.raises(DDNNError, match=rf"at least 1 and at most the number of sub-nets, {allowed}, not {drawn}"):
        TrainConfig(subnets=subnets, subnets_per_step=drawn)


def test_the_configuration_refuses_to_compile_too_many_programs() -> None:
    subnets = {f"net{number}": [1, 1, number + 1] for number in range(7)}
    TrainConfig(subnets=subnets, subnets_per_step=1, compile=True)
    TrainConfig(subnets=subnets, subnets_per_step=3)
    with pytest.raises(DDNNError, match="35 sets of 3 out of 7"):
        TrainConfig(subnets=subnets, subnets_per_step=3, compile="reduce-overhead")


def test_the_sandwich_has_the_extremes_and_two_others() -> None:
    draws = Counter(draw_nets(NAMES, None, 0, 0, step, "sandwich") for step in range(600))
    assert set(draws) == {("a", *pair, "full") for pair in combinations("bcd", 2)}
    assert min(draws.values()) > 150
    assert draw_nets(("a", "b", "full"), None, 0, 0, 0, "sandwich") == ("a", "b", "full")
    assert draw_nets(("a", "full"), None, 0, 0, 0, "sandwich") == ("a", "full")


def test_one_draws_each_net_equally_often() -> None:
    draws = Counter(draw_nets(NAMES, None, 0, 0, step, "one") for step in range(2000))
    assert set(draws) == {(name,) for name in NAMES}
    assert min(draws.values()) > 320


def test_extremes_leave_the_middle_untrained() -> None:
    assert draw_nets(NAMES, None, 0, 0, 0, "extremes") == ("a", "full")
    assert never_drawn(NAMES, "extremes") == ("b", "c", "d")
    assert never_drawn(NAMES, "one") == never_drawn(("a", "full"), "extremes") == ()


@pytest.mark.parametrize("rule", ["full_and_others", "sandwich", "extremes", "one"])
def test_a_network_of_one_net_trains_that_net(rule: Any) -> None:
    assert draw_nets(("full",), None, 0, 0, 0, rule) == ("full",)


def test_in_turn_the_full_net_learns_alone_and_then_its_subnets() -> None:
    assert [alternating(("a", "b", "full"), step, full_teaches=True) for step in range(4)] == [
        Lesson(("full",)),
        Lesson(("a", "b"), ("full",)),
        Lesson(("full",)),
        Lesson(("a", "b"), ("full",)),
    ]
    assert alternating(("a", "full"), 1, full_teaches=False) == Lesson(("a",), ())
    assert {alternating(("full",), step, full_teaches=True) for step in range(4)} == {Lesson(("full",))}


def test_the_configuration_refuses_to_alternate_where_that_cannot_be() -> None:
    with pytest.raises(DDNNError, match="alternate goes with the objectives ekd and joint; inplace has a rule"):
        TrainConfig(objective="inplace", alternate=True)
    with pytest.raises(DDNNError, match="strategy fsdp does not go with alternate, fork_gradients mean"):
        TrainConfig(strategy="fsdp", alternate=True, fork_gradients="mean")


def test_before_the_sub_nets_begin_a_step_trains_the_full_net_alone() -> None:
    steps = [(epoch, step) for epoch in range(5) for step in range(4)]
    drawn = [
        draw_nets(NAMES, 2, 0, epoch, step, full_alone=is_full_alone(epoch + step / 4, 5, 0.3)) for epoch, step in steps
    ]
    assert drawn[:6] == [("full",)] * 6
    assert drawn[6:] == [draw_nets(NAMES, 2, 0, epoch, step) for epoch, step in steps[6:]]
    assert not any(is_full_alone(float(epoch), 5, 0.0) for epoch in range(5))


def test_sub_nets_that_begin_later_make_steps_differ() -> None:
    assert draws_all(NAMES, None, "full_and_others")
    assert not draws_all(NAMES, None, "full_and_others", 0.1)
    assert draws_all(("full",), None, "full_and_others", 0.1)
