"""The running average of all nets' weights and statistics, which is what a run scores and saves where `ema` is set.

Late in training the average is better than any one step's weights; at a low learning rate it makes little difference.

The step of the recursion is torch's own, `torch.optim.swa_utils.get_ema_multi_avg_fn`, here and in
`ddnn.training.averaged_teacher`. The bookkeeping around it is not:

- torch's `AveragedModel` asks in each step whether it has averaged before, by a tensor on the device, which the
  processor then waits for. Its first step copies instead of averaging, it has one decay for all (which here grows, and
  for sub-nets' own statistics begins late), and it would average whole numbers as if they were none.
- Lightning's `WeightAveraging` stands on `AveragedModel`, and does not divide the average among processes (FSDP).

Both name what they store otherwise, so the checkpoints that there are would no longer open.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ddnn.network import DepthDynamicNetwork


def warm_decay(decay: float, steps: int) -> float:
    """The decay after so many steps: less at the beginning, so that random initial weights are soon forgotten.

    >>> [round(warm_decay(0.99, steps), 2) for steps in (0, 10, 1000)]
    [0.1, 0.55, 0.99]
    """
    return min(decay, (1 + steps) / (10 + steps))


class WeightAverage(nn.Module):
    """An exponential moving average of a network (Polyak and Juditsky, 1992; as in EfficientNet, arXiv 1905.11946).

    Weights that nets share are shared in the average, too, and running statistics, a sub-net's own past the common
    prefix, are averaged like weights.

    Args:
        network: what is averaged; the average starts as a copy.
        decay: share of the old average that a step keeps; less at the beginning, see `warm_decay`.
    """

    steps: Tensor

    def __init__(self, network: DepthDynamicNetwork, decay: float) -> None:
        super().__init__()
        self.network: DepthDynamicNetwork = deepcopy(network).requires_grad_(False).eval()
        self.decay = decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._taken = 0  # the same number, which need not be waited for
        self.register_load_state_dict_post_hook(_read_steps)

    def train(self, mode: bool = True) -> "WeightAverage":
        """Stay in evaluation mode."""
        del mode
        return super().train(False)

    @torch.no_grad()
    def update(self, network: DepthDynamicNetwork, steps: int, steps_alone: int = 0) -> None:
        """Take in the weights that the network has after so many steps, once.

        Args:
            network: what is averaged.
            steps: of the run so far.
            steps_alone: so many of them, the first, train the full net alone. Sub-nets' own statistics begin after
                them, and so does the warm-up of their decay.
        """
        if steps <= self._taken:
            return
        self._taken = steps
        self.steps.fill_(steps)
        pairs = list(zip(self.network.tensors().values(), network.tensors().values(), strict=True))
        smooth = [pair for pair in pairs if pair[0].is_floating_point()]
        weights = [pair for pair in smooth if isinstance(pair[0], nn.Parameter)]  # may be divided among processes
        statistics = [pair for pair in smooth if not isinstance(pair[0], nn.Parameter)]
        late: list[tuple[Tensor, Tensor]] = []
        if steps_alone:
            early = {id(buffer) for buffer in self.network[self.network.full].buffers()}
            late = [pair for pair in statistics if id(pair[0]) not in early]
            statistics = [pair for pair in statistics if id(pair[0]) in early]
        _move(weights, warm_decay(self.decay, steps))
        _move(statistics, warm_decay(self.decay, steps))
        _move(late, warm_decay(self.decay, max(0, steps - steps_alone)))
        for own, new in pairs:
            if not own.is_floating_point():
                own.copy_(new)


def _move(pairs: Sequence[tuple[Tensor, Tensor]], decay: float) -> None:
    """Let the first of each pair keep this share of itself, and take the rest from the second."""
    if pairs:
        averaged, current = zip(*pairs, strict=True)
        get_ema_multi_avg_fn(decay)(averaged, current, None)


def _read_steps(average: nn.Module, _incompatible: Any) -> None:
    assert isinstance(average, WeightAverage)
    average._taken = int(average.steps)
