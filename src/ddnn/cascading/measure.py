"""Test what was calibrated: accuracy, cost and time of cascades and of fixed depths, on the same test images."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ddnn.cascading.costs import Costs
from ddnn.cascading.report import Comparison, FixedNet, MeasuredCascade
from ddnn.cascading.thresholds import Point
from ddnn.cascading.timing import Call, Timings, time_calls
from ddnn.cascading.votes import Votes
from ddnn.engines import Engine
from ddnn.measuring.intervals import paired_interval, wilson_interval

CHOSEN, WITHOUT_BOOST = "the chosen cascade", "the same without boost"
MOST_TIMED, MOST_BYTES = 2000, 2**28
"""Batches that are kept to measure times on, and the memory that they may take."""


class Outcome(NamedTuple):
    """What a cascade did on the test images.

    Args:
        who: the net that answered each image, as a place among the cascade's.
        right: whether it was right.
    """

    who: np.ndarray
    right: np.ndarray


def run_on(engine: Engine, batches: Iterable[tuple[Tensor, Tensor]], point: Point) -> Outcome:
    """Run a cascade on labelled images."""
    who, right = [], []
    for images, labels in batches:
        answers = engine.cascade(images, point.thresholds, point.last, point.boost)
        who.append(answers.answered_by)
        right.append(answers.logits.argmax(axis=1) == labels.cpu().numpy())
    return Outcome(np.concatenate(who), np.concatenate(right))


def sample(batches: Iterable[tuple[Tensor, Tensor]], total: int, batch_size: int) -> list[Tensor]:
    """Batches of a given size, of images from all over the data, in an order of their own.

    Args:
        batches: (images, labels), `total` images in all.
        total: how many.
        batch_size: of what is returned; fewer if there are not so many images.
    """
    kept: list[Tensor] = []
    wanted, seen = min(total, MOST_TIMED * batch_size), 0
    for images, _ in batches:
        if not seen:
            memory = MOST_BYTES // (images[0].numel() * images.element_size())
            wanted = min(wanted, max(memory, batch_size))
        chosen = [n for n in range(len(images)) if (seen + n + 1) * wanted // total > (seen + n) * wanted // total]
        kept.append(images[chosen])
        seen += len(images)
    together = torch.cat(kept)
    order = torch.randperm(len(together), generator=torch.Generator().manual_seed(0)).to(together.device)
    size = min(batch_size, len(together))
    return [batch for batch in together[order].split(size) if len(batch) == size]


def measure_times(engine: Engine, batches: Sequence[Tensor], points: Mapping[str, Point], seconds: float) -> Timings:
    """Times of every fixed depth and of cascades, under their names."""
    calls: dict[str, Call] = {name: partial(engine, name=name) for name in engine.names}
    for name, point in points.items():
        calls[name] = partial(engine.cascade, thresholds=point.thresholds, last=point.last, boost=point.boost)
    return time_calls(calls, batches, seconds, engine.wait)


def fixed_nets(held: Votes, test: Votes, macs: Costs, times: Timings) -> dict[str, FixedNet]:
    """Every net by itself, shallow to deep."""
    return {
        name: FixedNet(
            held.accuracy(name),
            test.accuracy(name),
            _interval(test.right[place]),
            macs.added([name])[0],
            times[name].ms,
            times[name].plus_minus,
        )
        for place, name in enumerate(test.names)
    }


def measured(point: Point, tested: Outcome, macs: Costs, times: Timings, name: str) -> MeasuredCascade:
    """A cascade, whose times are kept under `name`."""
    answered = shares(tested.who, point.names)
    return MeasuredCascade(
        point.thresholds,
        point.last,
        point.accuracy,
        point.cost,
        float(tested.right.mean()),
        _interval(tested.right),
        macs.average(point.names, list(answered.values())),
        times[name].ms,
        times[name].plus_minus,
        answered,
        point.boost,
    )


def compare(
    tested: Outcome, test: Votes, nets: Mapping[str, FixedNet], cascade: MeasuredCascade, times: Timings
) -> Comparison:
    """The chosen cascade against the net that is most accurate on the test images."""
    best = max(nets, key=lambda name: nets[name].accuracy)
    ours, theirs = tested.right.astype(float), test.right[test.names.index(best)].astype(float)
    mean = float((ours - theirs).mean())
    interval = paired_interval(ours, theirs) if len(ours) > 1 else (mean, mean)
    ratio, plus_minus = times.ratio(CHOSEN, best)
    return Comparison(best, mean, interval, cascade.macs / nets[best].macs, ratio, plus_minus)


def shares(who: np.ndarray, names: tuple[str, ...]) -> dict[str, float]:
    """Share of the images that each net of a cascade answered."""
    return dict(zip(names, (np.bincount(who, minlength=len(names)) / len(who)).tolist(), strict=True))


def _interval(right: np.ndarray) -> tuple[float, float]:
    return wilson_interval(int(right.sum()), len(right))
