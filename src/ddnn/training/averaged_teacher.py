"""A teacher that is steadier than what it teaches: the running average of the full net's weights.

While the learning rate is high, the average of the last steps' weights is far more accurate than any one of them, so
its posterior is a better target, for the full net as well. Why it is not torch's `AveragedModel`:
`ddnn.training.weight_average` says it.
"""

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from ddnn.network import DepthDynamicNetwork
from ddnn.network.private_norms import is_norm
from ddnn.training.weight_average import warm_decay


class AveragedTeacher(nn.Module):
    """An exponential moving average of a full net's weights, as in mean teachers (Tarvainen and Valpola,
    arXiv 1703.01780).

    In training mode its norms use the statistics of the batch, so there is nothing to average but weights; dropout and
    stochastic depth are always off.

    Args:
        network: whose full net is averaged; the average starts as a copy.
        decay: share of the old average that a step keeps; less at the beginning, see `warm_decay`. It may be set later,
            before the first update: how long an epoch is, is known when the training starts.
    """

    def __init__(self, network: DepthDynamicNetwork, decay: float = 0.0) -> None:
        super().__init__()
        self.average: nn.Module = deepcopy(network[network.full]).requires_grad_(False)
        self.decay = decay

    def train(self, mode: bool = True) -> "AveragedTeacher":
        """Switch the norms; all else stays as in evaluation."""
        super().train(mode)
        for module in self.average.modules():
            module.training = mode and is_norm(module)
        return self

    @torch.no_grad()
    def update(self, network: DepthDynamicNetwork, steps: int) -> None:
        """Take in the weights that the full net has after so many steps."""
        decay = warm_decay(self.decay, steps)
        averaged, current = tuple(self.average.parameters()), tuple(network[network.full].parameters())
        get_ema_multi_avg_fn(decay)(averaged, current, None)

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        """Logits, (batch, classes), for images (batch, channels, height, width)."""
        return self.average(images)
