"""How depths are gone through, with an attempt that costs nothing."""

import sys
from collections.abc import Callable

import pytest

from ddnn.choice.depths import Found
from ddnn.choice.search import Search, search
from ddnn.choice.space import Depth, DepthSpace, NoSuchDepth, name_of
from ddnn.errors import DDNNError

SPACE = DepthSpace.of({"a": (1, 1), "full": (3, 4)}, "full")
LARGE = DepthSpace.of({"a": (1, 1, 1), "full": (9, 9, 9)}, "full")


def found(depth: Depth, trained: bool = False) -> Found:
    """More blocks are slower, and more accurate the earlier they are."""
    accuracy = sum(blocks / 2**stage for stage, blocks in enumerate(depth)) / 20
    return Found(name_of(depth), depth, accuracy, 100, sum(depth) / 10, None, trained)


def go(space: DepthSpace, attempt: Callable[[Depth], Found] = found, **keys: float) -> Search:
    known = [found(depth, trained=True) for depth in space.trained]
    return search(space, known, attempt, **{"trials": 100, "time_budget": 60.0, "seed": 0, **keys})  # type: ignore[arg-type]


def test_a_small_space_is_tried_whole_and_each_depth_once() -> None:
    went = go(SPACE)
    expected = {(one, two) for one in (1, 2, 3) for two in (1, 2, 3, 4)} - {(1, 1), (3, 4)}
    assert sorted(one.depth for one in went.found) == sorted(expected)
    assert (went.ended, went.sampler) == ("all depths were tried", "BruteForceSampler")


def test_trials_end_a_search() -> None:
    went = go(LARGE, trials=12)
    assert len({one.depth for one in went.found}) == len(went.found) == 12
    assert (went.ended, went.sampler) == ("12 depths were tried", "TPESampler")
    assert not LARGE.trained & {one.depth for one in went.found}


def test_the_time_budget_ends_a_search() -> None:
    went = go(SPACE, time_budget=1e-9)
    assert len(went.found) <= 1
    assert went.ended == "the 1e-09 seconds were over"


def test_ctrl_c_keeps_what_was_found() -> None:
    seen: list[Depth] = []

    def attempt(depth: Depth) -> Found:
        seen.append(depth)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return found(depth)

    went = go(SPACE, attempt)
    assert [one.depth for one in went.found] == seen[:3]
    assert went.ended == "interrupted"


def test_depths_that_no_net_has_are_left_out() -> None:
    def attempt(depth: Depth) -> Found:
        if depth[1] == 2:
            raise NoSuchDepth("no")
        return found(depth)

    went = go(SPACE, attempt)
    assert sorted(went.refused) == [(1, 2), (2, 2), (3, 2)]
    assert len(went.found) == SPACE.untrained - 3
    assert went.ended == "all depths were tried"


def test_another_error_is_not_taken_for_a_missing_depth() -> None:
    def attempt(depth: Depth) -> Found:
        raise DDNNError("no memory left")

    with pytest.raises(DDNNError, match="no memory left"):
        go(SPACE, attempt)


def test_nothing_is_tried_where_all_depths_were_trained() -> None:
    went = go(DepthSpace.of({"a": (1,), "full": (2,)}, "full"))
    assert (went.found, went.ended) == ([], "all depths were tried")


def test_a_network_without_sub_nets_is_searched_from_one_block_on() -> None:
    assert DepthSpace.of({"full": (2, 3)}, "full").untrained == 5


def test_without_optuna_a_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(DDNNError, match=r"pip install 'ddnn\[search\]'"):
        go(SPACE)
