"""From single runs to what is reported: one JSON-ready dictionary, and what it says about the aim, in plain sentences.

Every share is kept in [0, 1] and unrounded here; points and digits are a matter of the report.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ddnn.comparison.statistics import Difference, mean, paired_difference, standard_deviation
from ddnn.data.portion import Portion
from ddnn.measuring.evaluation import Score

AIMS = {"epochs": (0.010, 0.005), "compute": (0.015, 0.010)}
"""What distillation is to gain over training alone, at each budget: on every sub-net, and on the full net, as shares of
the images."""
ROUNDING = 1e-6
"""Accuracies were kept in single precision; a gain of exactly the aim counts as reached."""


@dataclass(frozen=True)
class NetFacts:
    """What is the same of a net whichever method trains it.

    Args:
        depth: blocks per stage.
        parameters: numbers that are trained.
        macs: multiply-accumulates for one image.
    """

    depth: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class MethodRun:
    """What one method gave with one seed.

    Args:
        method: its name, with its changes and its budget.
        seed: of all its trainings.
        scores: of every net, shallow to deep.
        seconds: training of all its nets together.
        peak_memory_mb: the highest of its runs; None where it cannot be measured.
        untrained: nets that the method does not train, only calibrates.
        kind: its name without the budget; None means that there is none in its name.
        budget: what it had as much of as training all nets alone.
        epochs: that it trained for; None where that is not known.
    """

    method: str
    seed: int
    scores: Mapping[str, Score]
    seconds: float
    peak_memory_mb: float | None
    untrained: tuple[str, ...] = ()
    kind: str | None = None
    budget: str = "epochs"
    epochs: int | None = None


def summarise(
    runs: Sequence[MethodRun],
    nets: Mapping[str, NetFacts],
    *,
    experiment: str,
    command: str,
    devices: Mapping[str, int],
    split: str,
    baseline: str = "alone",
    config: Mapping[str, Any],
    portion: Portion | None = None,
) -> dict[str, Any]:
    """All runs of an experiment in one dictionary that JSON can hold.

    Args:
        runs: at least one, in the order in which methods are to be reported; each has scores of all `nets`.
        nets: shallow to deep, the full net last.
        experiment: its name.
        command: what to type to do it again.
        devices: how many runs each machine has made, by what it is called.
        split: the images that the scores are of: test or validation.
        baseline: the method that differences are to. It need not be among the runs; there are no differences then.
        config: the configuration of the experiment.
        portion: all images of the split; None where that is not known.

    Returns:
        `methods` has, for each method and net, `mean`, `std` and `seeds` of the accuracy as shares in [0, 1], the
        paired `difference` to the baseline with its 95 % interval, mean `nll` in nats, mean `calibration_error`, and
        whether the net was `trained`. What cannot be known is None: a spread or an interval of one seed, a likelihood
        that is not finite, memory that was not measured.
    """
    by_method = _grouped(runs, nets)
    reference = by_method.get(baseline)
    images = runs[0].scores[next(iter(nets))].images
    others = {method: None if method == baseline else reference for method in by_method}
    return {
        "experiment": experiment,
        "command": command,
        "device": "; ".join(devices),
        "devices": dict(devices),
        "split": split,
        "images": images,
        "called": None if portion is None else portion.called or None,
        "left_out": None if portion is None else portion.left_out + portion.images - images,
        "baseline": baseline,
        "seeds": {method: list(by_seed) for method, by_seed in by_method.items()},
        "nets": {name: _facts(facts) for name, facts in nets.items()},
        "methods": {
            method: {name: _results(name, by_seed, others[method]) for name in nets}
            for method, by_seed in by_method.items()
        },
        "training": {method: _training(by_seed) for method, by_seed in by_method.items()},
        "costs": {method: _costs(by_seed) for method, by_seed in by_method.items()},
        "config": json.loads(json.dumps(config, default=str)),
    }


def verdict(summary: Mapping[str, Any]) -> list[str]:
    """What the experiment says about the aim of embedded knowledge distillation, one sentence a part of the aim.

    Args:
        summary: of `summarise`.

    Returns:
        Nothing unless "alone" was run, and "ekd" with a budget that has an aim.
    """
    if "alone" not in summary["methods"]:
        return []
    budgets = {"ekd": "epochs", "ekd@compute": "compute"}
    sentences = [
        sentence
        for ekd, budget in budgets.items()
        if ekd in summary["methods"]
        for sentence in _verdict(summary, ekd, budget)
    ]
    return [*sentences, *(_too_few(summary) if sentences else [])]


def _verdict(summary: Mapping[str, Any], ekd: str, budget: str) -> Iterator[str]:
    """What one row of EKD says about the aim."""
    *subnets, full = summary["nets"]
    on_subnets, on_full = AIMS[budget]
    equal = f"at equal {budget}"
    if subnets:
        gaps = {name: _gap(summary, ekd, "alone", [name]) for name in subnets}
        yield _at_least(
            f"{equal}, ekd at least {100 * on_subnets:.1f} points above alone on every sub-net", gaps, on_subnets
        )
    gap = {"": _gap(summary, ekd, "alone", [full])}
    yield _at_least(
        f"{equal}, ekd at least {100 * on_full:.1f} points above alone on {full}, the full net", gap, on_full
    )
    yield _beyond_chance(f"{equal}, ekd above alone on every net beyond the interval", summary, ekd)
    joint = "joint" if budget == "epochs" else f"joint@{budget}"
    aim = f"{equal}, ekd not below joint on average over the nets"
    if joint in summary["methods"]:
        yield _at_least(aim, {"": _gap(summary, ekd, joint, [*subnets, full])}, 0.0)
    else:
        yield f"{aim}: not tested; {joint} was not run."


def points(share: float) -> str:
    """A difference of shares in percentage points, with its sign.

    >>> points(0.0123), points(-0.0001), points(-0.00001)
    ('+1.23', '-0.01', '+0.00')
    """
    return f"{100 * share:+z.2f}"


def _grouped(runs: Sequence[MethodRun], nets: Mapping[str, NetFacts]) -> dict[str, dict[int, MethodRun]]:
    """The runs by method and seed, in the order given."""
    assert runs, "there is no run to summarise"
    by_method: dict[str, dict[int, MethodRun]] = {}
    for run in runs:
        assert run.scores.keys() == nets.keys(), f"{run.method} with seed {run.seed} has scores of {list(run.scores)}"
        by_seed = by_method.setdefault(run.method, {})
        assert run.seed not in by_seed, f"{run.method} was run twice with seed {run.seed}"
        by_seed[run.seed] = run
    assert len({score.images for run in runs for score in run.scores.values()}) == 1, "runs saw different images"
    return by_method


def _facts(facts: NetFacts) -> dict[str, Any]:
    return {"depth": list(facts.depth), "parameters": facts.parameters, "macs": facts.macs}


def _results(name: str, runs: Mapping[int, MethodRun], baseline: Mapping[int, MethodRun] | None) -> dict[str, Any]:
    """What one method gave for one net; no difference without a baseline."""
    scores = {seed: run.scores[name] for seed, run in runs.items()}
    accuracies = {seed: score.accuracy for seed, score in scores.items()}
    gap = paired_difference(accuracies, {seed: run.scores[name].accuracy for seed, run in (baseline or {}).items()})
    return {
        "mean": mean(list(accuracies.values())),
        "std": standard_deviation(list(accuracies.values())),
        "seeds": list(accuracies.values()),
        "difference": gap and {"mean": gap.mean, "interval": gap.interval and list(gap.interval), "seeds": gap.seeds},
        "nll": _finite(mean([score.nll for score in scores.values()])),
        "calibration_error": _finite(mean([score.calibration_error for score in scores.values()])),
        "trained": not any(name in run.untrained for run in runs.values()),
    }


def _training(runs: Mapping[int, MethodRun]) -> dict[str, Any]:
    run = next(iter(runs.values()))
    return {"kind": run.kind or run.method, "budget": run.budget, "epochs": run.epochs}


def _costs(runs: Mapping[int, MethodRun]) -> dict[str, Any]:
    memory = [run.peak_memory_mb for run in runs.values() if run.peak_memory_mb is not None]
    return {"seconds": mean([run.seconds for run in runs.values()]), "peak_memory_mb": max(memory, default=None)}


def _finite(value: float) -> float | None:
    """None for what a diverged training gives: its other figures are still worth reporting."""
    return value if isfinite(value) else None


def _gap(summary: Mapping[str, Any], ekd: str, other: str, nets: Sequence[str]) -> Difference | None:
    """How far a row of ekd is above another method, averaged over nets within each seed."""
    return paired_difference(_by_seed(summary, ekd, nets), _by_seed(summary, other, nets))


def _by_seed(summary: Mapping[str, Any], method: str, nets: Sequence[str]) -> dict[int, float]:
    """The mean accuracy of nets, one figure a seed."""
    rows = zip(*(summary["methods"][method][name]["seeds"] for name in nets), strict=True)
    return {seed: mean(row) for seed, row in zip(summary["seeds"][method], rows, strict=True)}


def _beyond_chance(aim: str, summary: Mapping[str, Any], ekd: str) -> str:
    """Whether the intervals of all nets lie above zero."""
    gaps = {name: _gap(summary, ekd, "alone", [name]) for name in summary["nets"]}
    if not all(gap and gap.interval for gap in gaps.values()):
        return f"{aim}: not tested; that takes two seeds that both have."
    short = [name for name, gap in gaps.items() if gap and gap.interval and gap.interval[0] <= 0]
    return f"{aim}: not shown for {', '.join(short)}." if short else f"{aim}: reached."


def _at_least(aim: str, gaps: Mapping[str, Difference | None], least: float) -> str:
    """Whether every gap is as large as it has to be, and whether the seeds could tell."""
    known = {name: gap for name, gap in gaps.items() if gap is not None}
    if len(known) < len(gaps):
        return f"{aim}: not tested; the two have no seed in common."
    short = [name for name, gap in known.items() if gap.mean < least - ROUNDING]
    figures = ", ".join(f"{name} {_points(gap)}".lstrip() for name, gap in known.items())
    sentence = f"{aim}: {'not reached' if short else 'reached'}; {figures}."
    open_ones = [gap for gap in known.values() if gap.interval and gap.interval[0] < least <= gap.interval[1]]
    if not open_ones:
        return sentence
    where = "the interval" if len(known) == 1 else f"{len(open_ones)} of {len(known)} intervals"
    return f"{sentence} But {100 * least:.1f} points lie inside {where}: more seeds could turn this."


def _points(gap: Difference) -> str:
    """As in: +0.80 points (95 % interval +0.31 to +1.29, 3 seeds)."""
    if gap.interval is None:
        return f"{points(gap.mean)} points (1 seed, no interval)"
    low, high = gap.interval
    return f"{points(gap.mean)} points (95 % interval {points(low)} to {points(high)}, {gap.seeds} seeds)"


def _too_few(summary: Mapping[str, Any]) -> list[str]:
    ekd = next(method for method in summary["methods"] if method in ("ekd", "ekd@compute"))
    shared = set(summary["seeds"][ekd]) & set(summary["seeds"]["alone"])
    if len(shared) != 1:
        return []
    return ["One seed is too few for an interval: none of these differences can be told from chance."]
