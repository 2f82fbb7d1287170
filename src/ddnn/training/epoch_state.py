"""How far an epoch is: what a checkpoint in its middle has besides the state of the network and the optimizer."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from ddnn.distributed.processes import is_first


@dataclass(frozen=True)
class EpochState:
    """What has come of an epoch so far.

    Args:
        batches: that are done.
        seconds: that they took.
        totals: sums of the loss and its parts.
        steps_with: how many steps had each part.
        random_states: of torch's generators, by device.
    """

    batches: int
    seconds: float
    totals: dict[str, Tensor]
    steps_with: dict[str, int]
    random_states: dict[str, Tensor] = field(default_factory=dict)

    KEY: ClassVar[str] = "ddnn_epoch"

    @classmethod
    def of(
        cls, batches: int, seconds: float, totals: Mapping[str, Tensor], steps_with: Mapping[str, int]
    ) -> "EpochState":
        """The state of now."""
        states = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_initialized():
            states["cuda"] = torch.cuda.get_rng_state()
        sums = {name: torch.as_tensor(total).cpu() for name, total in totals.items()}
        return cls(batches, seconds, sums, dict(steps_with), states)

    def to_dict(self) -> dict[str, Any]:
        """What a checkpoint holds; the arguments of the class."""
        return asdict(self)

    def restore_random_states(self, seed: int) -> None:
        """Go on drawing where the first process was; the others, whose states are not saved, get a seed."""
        if not is_first():
            torch.manual_seed(seed)
            return
        torch.set_rng_state(self.random_states["cpu"])
        if "cuda" in self.random_states and torch.cuda.is_available():
            torch.cuda.set_rng_state(self.random_states["cuda"])
