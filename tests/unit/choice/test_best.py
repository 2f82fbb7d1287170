"""The decision, against an independent one that goes through all candidates."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddnn.choice.best import Bounds, Candidate, choose_from, front
from ddnn.config import ChooseConfig
from ddnn.errors import DDNNError

levels = st.integers(1, 4)
"""Few values, so that there are ties."""


@st.composite
def candidates(draw: st.DrawFn) -> list[Candidate]:
    figures = draw(st.lists(st.tuples(levels, levels, levels), min_size=1, max_size=6))
    return [
        Candidate(f"net{number}", (number,), accuracy / 4, float(latency), float(memory))
        for number, (accuracy, latency, memory) in enumerate(figures)
    ]


bounds = st.builds(
    Bounds,
    st.none() | levels.map(float),
    st.none() | levels.map(lambda level: level / 4),
    st.none() | levels.map(float),
).filter(lambda each: each != Bounds())


def fits(each: Candidate, within: Bounds) -> bool:
    assert each.memory_mb is not None
    return (
        (within.latency_ms is None or each.latency_ms <= within.latency_ms)
        and (within.accuracy is None or each.accuracy >= within.accuracy)
        and (within.memory_mb is None or each.memory_mb <= within.memory_mb)
    )


@given(candidates(), bounds)
def test_the_choice_is_the_one_that_nothing_beats(nets: list[Candidate], within: Bounds) -> None:
    fitting = [each for each in nets if fits(each, within)]
    if not fitting:
        with pytest.raises(DDNNError, match="no net fits; the nearest is net"):
            choose_from(nets, within)
        return
    choice = choose_from(nets, within)
    chosen = choice.chosen
    assert chosen in fitting
    alone = within.latency_ms is None and within.memory_mb is None
    for other in fitting:
        if alone:
            assert chosen.latency_ms <= other.latency_ms
            assert chosen.latency_ms < other.latency_ms or chosen.accuracy >= other.accuracy
        else:
            assert chosen.accuracy >= other.accuracy
            assert chosen.accuracy > other.accuracy or chosen.latency_ms <= other.latency_ms
    better = [each.accuracy for each in nets if each.accuracy > chosen.accuracy]
    assert (choice.next_better.accuracy if choice.next_better else None) == (min(better) if better else None)
    if choice.next_better:
        assert bool(choice.misses) == (not fits(choice.next_better, within))
    assert all(left >= 0 for left in choice.left.values())


@given(candidates())
def test_the_front_is_what_no_other_net_beats(nets: list[Candidate]) -> None:
    def beats(one: Candidate, other: Candidate) -> bool:
        as_good = one.accuracy >= other.accuracy and one.latency_ms <= other.latency_ms
        return as_good and (one.accuracy > other.accuracy or one.latency_ms < other.latency_ms)

    found = front(nets)
    unbeaten = {(each.accuracy, each.latency_ms) for each in nets if not any(beats(other, each) for other in nets)}
    assert {(each.accuracy, each.latency_ms) for each in found} == unbeaten
    assert [each.latency_ms for each in found] == sorted({each.latency_ms for each in found})


SMALL = Candidate("small", (1, 1), accuracy=0.90, latency_ms=10.0, memory_mb=80.0)
LARGE = Candidate("large", (2, 2), accuracy=0.95, latency_ms=30.0, memory_mb=120.0)


def test_what_is_left_and_what_the_next_one_would_take() -> None:
    choice = choose_from([SMALL, LARGE], Bounds(latency_ms=16, memory_mb=100))
    assert choice.left == {"latency_ms": 6.0, "memory_mb": 20.0}
    assert choice.misses == {"latency_ms": 14.0, "memory_mb": 20.0}


@pytest.mark.parametrize(
    ("within", "message"),
    [
        (
            Bounds(latency_ms=8),
            r"the nearest is small with 10 ms, 90\.00 %, 80\.0 MB: it misses latency_ms 8 ms by 2 ms$",
        ),
        (
            Bounds(accuracy=0.96),
            r"the nearest is large with 30 ms, 95\.00 %, 120\.0 MB: it misses accuracy 0\.96 by 0\.0100$",
        ),
        (
            Bounds(latency_ms=5, memory_mb=70),
            r"small .*: it misses latency_ms 5 ms by 5 ms and memory_mb 70 MB by 10\.0 MB$",
        ),
        (Bounds(latency_ms=29, accuracy=0.95), r"the nearest is large .* it misses latency_ms 29 ms by 1 ms$"),
        (Bounds(latency_ms=12, accuracy=0.91), r"the nearest is small .* it misses accuracy 0\.91 by 0\.0100$"),
    ],
)
def test_the_nearest_miss_is_named_with_its_figures(within: Bounds, message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        choose_from([SMALL, LARGE], within)


def test_memory_that_is_not_known_is_held_against_no_bound() -> None:
    unknown = Candidate("small", (1, 1), 0.9, 10.0)
    assert choose_from([unknown], Bounds(latency_ms=10)).chosen == unknown
    with pytest.raises(DDNNError, match="the memory of small is not known"):
        choose_from([unknown], Bounds(memory_mb=100))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give at least one bound"),
        ({"latency_ms": -1.0}, r"latency_ms must be above 0 and finite, not -1\.0"),
        ({"latency_ms": float("nan")}, "latency_ms must be above 0"),
        ({"memory_mb": float("inf")}, "memory_mb must be above 0"),
        ({"accuracy": 97.5}, r"accuracy must be a share in \(0, 1\], not 97\.5; for 97\.5 % give 0\.975"),
        ({"accuracy": 0.0}, r"accuracy must be a share in \(0, 1\], not 0"),
        ({"accuracy": 101.0}, r"accuracy must be a share in \(0, 1\], not 101\.0$"),
        ({"latency_ms": 1.0, "threads": 0}, "threads must be at least 1"),
        ({"latency_ms": 1.0, "seconds": 0.0}, "seconds must be above 0"),
        ({"latency_ms": 1.0, "output": "x"}, "--output is for what --any_depth finds"),
        ({"latency_ms": 1.0, "any_depth": True, "on": "x"}, "cannot be done for another device"),
        ({"latency_ms": 1.0, "any_depth": True, "time_budget": 0.0}, "time_budget must be above 0"),
        ({"latency_ms": 1.0, "any_depth": True, "trials": 0}, "trials must be at least 1"),
    ],
)
def test_bounds_that_make_no_sense_are_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        ChooseConfig(**values)  # type: ignore[arg-type]
