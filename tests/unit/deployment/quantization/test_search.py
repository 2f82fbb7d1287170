"""Which blocks are chosen, for nets whose losses are made up: the sum over blocks, each known."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from ddnn.deployment.quantization.search import (
    Sensitivity,
    chosen_of,
    sensitivities,
    within_drop,
    within_latency,
)
from ddnn.deployment.quantization.trials import Result, Trials
from ddnn.errors import DDNNError


@dataclass
class Net:
    blocks: tuple[str, ...]


@dataclass
class MadeUp:
    """What `Trials` has: two nets, of which the deeper one has more blocks."""

    drops: dict[str, float]
    milliseconds: dict[str, float] = field(default_factory=dict)
    clashes: dict[frozenset[str], float] = field(default_factory=dict)

    @property
    def blocks(self) -> tuple[str, ...]:
        return tuple(self.drops)

    @property
    def nets(self) -> dict[str, Net]:
        return {"shallow": Net(("stem", "head")), "full": Net(self.blocks)}

    def result(self, name: str, blocks: Any) -> Result:
        own = [block for block in blocks if block in self.nets[name].blocks]
        drop = sum(self.drops[block] for block in own)
        drop += sum(extra for pair, extra in self.clashes.items() if pair <= set(own))
        return Result(0.9 - drop, drop, 10 * sum(self.drops[block] for block in own))

    def results(self, blocks: Any) -> dict[str, Result]:
        return {name: self.result(name, blocks) for name in self.nets}

    def latency(self, blocks: Any) -> float:
        return 10.0 + sum(self.milliseconds[block] for block in blocks)


def ranked(made_up: MadeUp) -> tuple[Trials, list[Sensitivity]]:
    trials = cast(Trials, made_up)
    return trials, sensitivities(trials, lambda _: None)


def quiet(_: str) -> None:
    pass


def test_sensitivities_are_of_each_net_that_has_the_block_and_the_worst_comes_first() -> None:
    _, found = ranked(MadeUp({"stem": 0.004, "a": 0.02, "b": 0.0, "head": 0.006}))
    assert [one.block for one in found] == ["a", "head", "stem", "b"]
    assert [list(one.results) for one in found] == [["full"], ["shallow", "full"], ["shallow", "full"], ["full"]]
    assert found[0].drop == 0.02
    assert found[0].divergence == pytest.approx(0.2)


def test_blocks_go_back_into_float_until_the_bound_holds() -> None:
    trials, order = ranked(MadeUp({"stem": 0.004, "a": 0.02, "b": 0.0, "head": 0.006}))
    tried = within_drop(trials, order, 0.005, quiet)
    assert chosen_of(tried).int8 == ("stem", "b")
    assert [attempt.int8 for attempt in tried[:2]] == [("stem", "a", "b", "head"), ("stem", "b", "head")]
    assert all(attempt.fits == (attempt.drop is not None and attempt.drop <= 0.005) for attempt in tried)


def test_all_stay_in_int8_if_the_bound_allows_it() -> None:
    trials, order = ranked(MadeUp({"stem": 0.001, "a": 0.002, "head": 0.001}))
    tried = within_drop(trials, order, 0.01, quiet)
    assert len(tried) == 1
    assert chosen_of(tried).int8 == ("stem", "a", "head")
    assert tried[0].net == "full"


def test_a_block_that_was_not_in_the_way_goes_into_int8_again() -> None:
    """Alone, `a` costs most; but what breaks the bound is `b` and `stem` together."""
    trials, order = ranked(MadeUp({"stem": 0.002, "a": 0.004, "b": 0.003}, clashes={frozenset({"b", "stem"}): 0.1}))
    tried = within_drop(trials, order, 0.01, quiet)
    assert chosen_of(tried).int8 == ("stem", "a")
    assert [attempt.fits for attempt in tried] == [False, False, True, True]


def test_a_bound_that_no_choice_keeps_names_the_nearest() -> None:
    trials, order = ranked(MadeUp({"stem": 0.02, "a": 0.05, "b": 0.03}))
    with pytest.raises(DDNNError, match=r"within 0\.01 .* 1 blocks? in int8 \(stem\), costs shallow 0\.0200") as caught:
        within_drop(trials, order, 0.01, quiet)
    assert "--max_drop" in str(caught.value)


def test_the_least_sensitive_blocks_are_quantised_until_the_latency_fits() -> None:
    saved = {"stem": -1.0, "a": -3.0, "b": -1.0, "head": -0.5}
    trials, order = ranked(MadeUp({"stem": 0.004, "a": 0.02, "b": 0.0, "head": 0.006}, saved))
    tried = within_latency(trials, order, 8.0, quiet)
    assert chosen_of(tried).int8 == ("stem", "b")
    assert [attempt.latency_ms for attempt in tried] == [10.0, 9.0, 8.0]


def test_a_latency_that_no_choice_reaches_names_the_fastest() -> None:
    saved = {"stem": -1.0, "a": 3.0}  # int8 need not be faster
    trials, order = ranked(MadeUp({"stem": 0.0, "a": 0.1}, saved))
    with pytest.raises(DDNNError, match=r"within 5 ms here; the nearest, 1 block in int8 \(stem\), takes 9 ms"):
        within_latency(trials, order, 5.0, quiet)


def test_a_latency_that_the_float_net_keeps_needs_no_int8() -> None:
    trials, order = ranked(MadeUp({"stem": 0.0}, {"stem": -1.0}))
    with pytest.raises(DDNNError, match="nothing to quantise for; export it with `ddnn export`"):
        within_latency(trials, order, 10.0, quiet)
