import json
from math import nan
from pathlib import Path

import pytest
from scipy.stats import ttest_rel

from ddnn.comparison.summary import MethodRun, verdict
from tests.unit.comparison.experiments import NETS, run, score, summary_of, usual


def test_the_contract() -> None:
    summary = summary_of(usual())
    assert {"experiment", "command", "device", "methods"} <= summary.keys()
    assert list(summary["methods"]) == ["alone", "pruned", "joint", "ekd"]
    assert all(list(nets) == list(NETS) for nets in summary["methods"].values())
    small = summary["methods"]["ekd"]["small"]
    assert small["seeds"] == [0.712, 0.722]
    assert small["mean"] == pytest.approx(0.717)
    assert small["std"] == pytest.approx(0.01 / 2**0.5)
    assert (small["nll"], small["calibration_error"]) == (0.7, 0.03)
    assert summary["nets"]["small"] == {"depth": [1, 1, 1], "parameters": 78_042, "macs": 12_500_000}
    assert summary["seeds"] == {method: [0, 1] for method in ("alone", "pruned", "joint", "ekd")}
    assert summary["costs"]["ekd"] == {"seconds": 10.5, "peak_memory_mb": 101.0}
    assert (summary["split"], summary["images"], summary["baseline"]) == ("test", 10_000, "alone")
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary


def test_differences_are_paired_by_seed() -> None:
    alone = [run("alone", seed, (a, 0.7, 0.8)) for seed, a in enumerate((0.61, 0.65, 0.62))]
    ekd = [run("ekd", seed, (a, 0.7, 0.8)) for seed, a in ((2, 0.66), (0, 0.63), (1, 0.67))]
    difference = summary_of([*alone, *ekd])["methods"]["ekd"]["small"]["difference"]
    expected = ttest_rel([0.63, 0.67, 0.66], [0.61, 0.65, 0.62]).confidence_interval()
    assert difference["mean"] == pytest.approx((0.02 + 0.02 + 0.04) / 3)
    assert difference["interval"] == pytest.approx(list(expected))
    assert difference["seeds"] == 3


def test_the_baseline_has_no_difference_nor_has_anything_without_one() -> None:
    assert all(results["difference"] is None for results in summary_of(usual())["methods"]["alone"].values())
    missing = summary_of([run for run in usual() if run.method != "alone"])
    assert all(results["difference"] is None for nets in missing["methods"].values() for results in nets.values())


def test_nets_that_a_method_does_not_train_are_marked() -> None:
    methods = summary_of(usual())["methods"]
    assert [results["trained"] for results in methods["pruned"].values()] == [False, False, True]
    assert all(results["trained"] for results in methods["ekd"].values())


def test_what_one_seed_cannot_tell_is_none() -> None:
    summary = summary_of([run for run in usual() if run.seed == 0])
    small = summary["methods"]["ekd"]["small"]
    assert small["std"] is None
    assert small["difference"] == {"mean": pytest.approx(0.012), "interval": None, "seeds": 1}


def test_memory_is_the_highest_that_was_measured() -> None:
    assert summary_of([run("ekd", 0, (0.1, 0.2, 0.3), peak_memory_mb=None)])["costs"]["ekd"]["peak_memory_mb"] is None
    runs = [run("ekd", 0, (0.1, 0.2, 0.3), peak_memory_mb=None), run("ekd", 1, (0.1, 0.2, 0.3))]
    assert summary_of(runs)["costs"]["ekd"]["peak_memory_mb"] == 101.0


def test_a_diverged_training_leaves_the_rest() -> None:
    scores = {name: score(0.1, nan) for name in NETS}
    summary = summary_of([MethodRun("ekd", 0, scores, 1.0, None)])
    assert summary["methods"]["ekd"]["full"]["nll"] is None
    assert summary["methods"]["ekd"]["full"]["mean"] == 0.1


def test_the_configuration_is_made_json_ready() -> None:
    config = {"output": Path("runs"), "depth": (1, 2)}
    assert summary_of(usual(), config=config)["config"] == {"output": "runs", "depth": [1, 2]}


def test_runs_that_do_not_fit_together_are_our_mistake() -> None:
    with pytest.raises(AssertionError, match="twice"):
        summary_of([run("ekd", 0, (0.1, 0.2, 0.3)), run("ekd", 0, (0.1, 0.2, 0.3))])
    with pytest.raises(AssertionError, match="scores of"):
        summary_of([run("ekd", 0, (0.1, 0.2), ("small", "full"))])
    with pytest.raises(AssertionError, match="no run"):
        summary_of([])


def test_the_verdict_of_an_aim_that_is_reached() -> None:
    subnets, full, chance, joint = verdict(summary_of(usual()))
    assert subnets.startswith(
        "at equal epochs, ekd at least 1.0 points above alone on every sub-net: reached; small +1.20 points"
    )
    assert "middle +1.05 points (95 % interval +0.41 to +1.69, 2 seeds)" in subnets
    assert subnets.endswith("But 1.0 points lie inside 1 of 2 intervals: more seeds could turn this.")
    assert "ekd at least 0.5 points above alone on full, the full net: not reached; +0.10 points" in full
    assert chance == "at equal epochs, ekd above alone on every net beyond the interval: not shown for full."
    assert joint.startswith("at equal epochs, ekd not below joint on average over the nets: reached; +1.")


def _verdict(alone: list[tuple[float, ...]], ekd: list[tuple[float, ...]]) -> list[str]:
    runs = [run(method, seed, a) for method, rows in (("alone", alone), ("ekd", ekd)) for seed, a in enumerate(rows)]
    return verdict(summary_of(runs))


def test_the_verdict_of_an_aim_that_is_missed() -> None:
    rows = _verdict([(0.7, 0.7, 0.80), (0.7, 0.7, 0.80)], [(0.711, 0.703, 0.790), (0.711, 0.703, 0.790)])
    assert ": not reached; small +1.10 points" in rows[0]
    assert ": not reached; -1.00 points (95 % interval -1.00 to -1.00, 2 seeds)." in rows[1]
    assert "joint on average over the nets: not tested; joint was not run." in rows[3]


def test_the_verdict_says_where_every_net_gains_beyond_chance() -> None:
    rows = _verdict([(0.7, 0.7, 0.80), (0.7, 0.7, 0.80)], [(0.72, 0.71, 0.81), (0.721, 0.711, 0.81)])
    assert rows[2] == "at equal epochs, ekd above alone on every net beyond the interval: reached."


def test_the_verdict_of_one_seed_says_that_it_is_too_little() -> None:
    subnets, full, chance, _, too_few = _verdict([(0.7, 0.7, 0.80)], [(0.71, 0.71, 0.79)])
    assert "reached; small +1.00 points (1 seed, no interval)" in subnets
    assert ": not reached; -1.00 points (1 seed, no interval)." in full
    assert "not tested; that takes two seeds" in chance
    assert too_few.startswith("One seed is too few")


def test_the_verdict_counts_a_gain_of_exactly_the_aim() -> None:
    alone, ekd = (0.7, 0.7, 0.8), (0.7099999833106995, 0.71, 0.8)  # in single precision a little less
    assert ": reached;" in _verdict([alone], [ekd])[0]


def test_no_verdict_without_both_methods_and_no_claim_without_a_pair() -> None:
    assert verdict(summary_of([run("ekd", 0, (0.1, 0.2, 0.3))])) == []
    rows = verdict(summary_of([run("ekd", 0, (0.1, 0.2, 0.3)), run("alone", 1, (0.1, 0.2, 0.3))]))
    assert [("not tested" in row) for row in rows] == [True, True, True, True]


def test_equal_compute_has_an_aim_of_its_own() -> None:
    longer = {"kind": "ekd", "budget": "compute", "epochs": 123}
    runs = [run("alone", seed, (0.7, 0.7, 0.8)) for seed in (0, 1)]
    runs += [run("ekd@compute", seed, (0.716, 0.716, 0.811), **longer) for seed in (0, 1)]
    summary = summary_of(runs)
    assert summary["training"]["ekd@compute"] == longer
    subnets, full, _, joint = verdict(summary)
    assert "at equal compute, ekd at least 1.5 points above alone on every sub-net: reached" in subnets
    assert "ekd at least 1.0 points above alone on full, the full net: reached" in full
    assert "joint@compute was not run" in joint


def test_a_network_of_one_net_has_no_sub_nets_to_speak_of() -> None:
    runs = [run(method, 0, (0.5,), ("full",)) for method in ("alone", "ekd")]
    rows = verdict(summary_of(runs, {"full": NETS["full"]}))
    assert not any("sub-net:" in row for row in rows)
