"""The option that ConvNeXt and Swin share: how often a block is skipped in training."""

from dataclasses import dataclass

from ddnn.errors import DDNNError


@dataclass(frozen=True)
class StochasticDepthOptions:
    """Options of the families that skip blocks at random in training (Huang et al., arXiv 1603.09382).

    Args:
        stochastic_depth: probability for the last block, growing linearly from 0 at the first. Where two nets share
            their first blocks, those keep the rate of the net that was there first, which is the deeper one.
            torchvision's own default differs with the depth; here it is 0 unless given.
    """

    stochastic_depth: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.stochastic_depth < 1:
            raise DDNNError(f"stochastic_depth must be in [0, 1), not {self.stochastic_depth}")
