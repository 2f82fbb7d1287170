"""Which nets a step trains: a pure function of (seed, epoch, step), so that a resumed run is the same run.

With many depths, a step on all of them takes long. One on the full net and a few others costs less, and is right on
average: the mean over sub-nets that are drawn uniformly is an unbiased estimate of the mean over all. Universally
slimmable networks draw their widths so (Yu and Huang, arXiv 1903.05134, section 3.2). Some objectives of peers have
rules of their own.

Of the nets that are drawn, not all need to learn: a step may train some of them, and let others teach.
"""

from typing import NamedTuple

import torch

from ddnn.data.order import derive_seed
from ddnn.objectives import Draw

_SANDWICHED = 2  # random nets between the extremes: four a step in all, as in the paper
_DRAW_STREAM = 2  # sets the seeds of the draws apart from those of the order and of the augmentation


def draw_nets(
    names: tuple[str, ...],
    count: int | None,
    seed: int,
    epoch: int,
    step: int,
    rule: Draw = "full_and_others",
    full_alone: bool = False,
) -> tuple[str, ...]:
    """The nets that a step trains, sub-nets drawn uniformly without replacement.

    The draw is the same in each process, for it depends on nothing but the arguments.

    Args:
        names: of all nets, the full net last.
        count: how many sub-nets to draw by `full_and_others`, from 1 to all; None means all.
        seed: of the run.
        epoch: counted from 0.
        step: of that epoch, counted from 0.
        rule: full_and_others draws the full net and sub-nets; sandwich the full net, the smallest and at most two of
            the others (Yu and Huang, arXiv 1903.05134); extremes is the full net and the smallest; one is any one net.
        full_alone: no sub-nets yet, see `is_full_alone`.

    Returns:
        Names in the order of `names`, so that the deepest is the last.

    Example:
        >>> names = ("resnet8", "resnet14", "resnet20")
        >>> draws = [draw_nets(names, 1, seed=0, epoch=0, step=step) for step in range(100)]
        >>> sorted(set(draws))
        [('resnet14', 'resnet20'), ('resnet8', 'resnet20')]
    """
    if full_alone:
        return names[-1:]
    always, others, wanted = _rule(rule, names, count)
    if wanted == len(others):
        return tuple(name for name in names if name in always or name in others)
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, step, _DRAW_STREAM))
    drawn = {others[place] for place in torch.randperm(len(others), generator=generator)[:wanted].tolist()}
    return tuple(name for name in names if name in always or name in drawn)


class Lesson(NamedTuple):
    """Which nets learn in a step, and which only teach.

    Args:
        learners: they are trained, shallow to deep.
        teachers: they run without a gradient, for the learners to learn from; None where the full net learns too.
    """

    learners: tuple[str, ...]
    teachers: tuple[str, ...] | None = None


def alternating(drawn: tuple[str, ...], step: int, full_teaches: bool) -> Lesson:
    """The full net and its sub-nets learn in turn, as partially masked networks do: a step trains the largest network
    or smaller ones, at about half the cost (the sampler `ats` of `whittle` alternates so).

    Args:
        drawn: the nets that a step would train together, the full net last.
        step: of the run, counted from 0: in those of even number the full net learns, alone.
        full_teaches: whether its sub-nets learn from it.

    Example:
        >>> names = ("resnet8", "resnet14", "resnet20")
        >>> alternating(names, 0, full_teaches=True)
        Lesson(learners=('resnet20',), teachers=None)
        >>> alternating(names, 1, full_teaches=True)
        Lesson(learners=('resnet8', 'resnet14'), teachers=('resnet20',))
    """
    *subnets, full = drawn
    if not subnets or step % 2 == 0:
        return Lesson((full,))
    return Lesson(tuple(subnets), (full,) if full_teaches else ())


def is_full_alone(epoch: float, epochs: int, subnets_from: float) -> bool:
    """Whether a step trains the full net alone, as all do before that share of the epochs (Scala, once-for-all).

    Args:
        epoch: epochs trained so far, with the fraction of this one.
        epochs: of the run.
        subnets_from: share of the epochs, in [0, 1).

    >>> [is_full_alone(epoch, 30, 0.1) for epoch in (0.0, 2.9, 3.0)]  # 0.1 * 30 is above 3 in some roundings
    [True, True, False]
    """
    return epoch / epochs < subnets_from


def never_drawn(names: tuple[str, ...], rule: Draw) -> tuple[str, ...]:
    """The nets that no step trains: between the extremes, those in the middle."""
    return names[1:-1] if rule == "extremes" else ()


def draws_all(names: tuple[str, ...], count: int | None, rule: Draw, subnets_from: float = 0.0) -> bool:
    """Whether each step trains the same nets, and thus the same parameters."""
    _, others, wanted = _rule(rule, names, count)
    return wanted == len(others) and not (subnets_from and len(names) > 1)


def _rule(rule: Draw, names: tuple[str, ...], count: int | None) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """The nets that are always drawn, those that may be, and how many of those are."""
    *subnets, full = names
    match rule:
        case "full_and_others":
            assert count is None or 1 <= count <= len(subnets), "the configuration allows no other number"
            return (full,), tuple(subnets), len(subnets) if count is None else count
        case "sandwich":
            return (names[0], full), names[1:-1], min(_SANDWICHED, len(names[1:-1]))
        case "extremes":
            return (names[0], full), (), 0
        case "one":
            return (), names, 1
