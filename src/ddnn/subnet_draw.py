"""Which nets a step trains, where it does not train all: a pure function of (seed, epoch, step), so that a resumed run
is the same run.

With many depths, a step on all of them takes long. One on the full net and a few others costs less, and is right on
average: the mean over sub-nets that are drawn uniformly is an unbiased estimate of the mean over all. Universally
slimmable networks draw their widths so (Yu and Huang, arXiv 1903.05134, section 3.2).
"""

import torch

from ddnn.data.order import derive_seed

_DRAW_STREAM = 2  # sets the seeds of the draws apart from those of the order and of the augmentation


def draw_nets(names: tuple[str, ...], count: int | None, seed: int, epoch: int, step: int) -> tuple[str, ...]:
    """The nets that a step trains: the full net, and sub-nets drawn uniformly without replacement.

    The draw is the same in each process, for it depends on nothing but the arguments.

    Args:
        names: of all nets, the full net last.
        count: how many sub-nets to draw, from 1 to all; None means all.
        seed: of the run.
        epoch: counted from 0.
        step: of that epoch, counted from 0.

    Returns:
        Names in the order of `names`, so that the full net is the last.

    Example:
        >>> names = ("resnet8", "resnet14", "resnet20")
        >>> draws = [draw_nets(names, 1, seed=0, epoch=0, step=step) for step in range(100)]
        >>> sorted(set(draws))
        [('resnet14', 'resnet20'), ('resnet8', 'resnet20')]
    """
    *subnets, full = names
    if count is None or count == len(subnets):
        return names
    assert 1 <= count < len(subnets), "the configuration allows no other number"
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch, step, _DRAW_STREAM))
    places = torch.randperm(len(subnets), generator=generator)[:count].sort().values
    return (*(subnets[place] for place in places.tolist()), full)
