"""What has come of an epoch so far, which stays on the device until somebody reads it."""

from collections import Counter
from collections.abc import Mapping

import torch
from torch import Tensor

from ddnn.distributed.processes import total


class EpochRecord:
    """Sums of the loss and its parts. Not all nets are in each step, so it is counted which parts were.

    Args:
        totals: sums so far, scalars on any device.
        steps_with: how many steps had each of them.

    Attributes:
        images: of the last batch; None before the first.

    Example:
        >>> record = EpochRecord()
        >>> record.add({"loss": torch.tensor(2.0)})
        >>> record.add({"loss": torch.tensor(4.0), "ce/resnet8": torch.tensor(1.0)})
        >>> record.totals, dict(record.steps_with)
        ({'loss': tensor(6.), 'ce/resnet8': tensor(1.)}, {'loss': 2, 'ce/resnet8': 1})
        >>> record.means(processes=1)
        {'loss': 3.0, 'ce/resnet8': 1.0}
    """

    def __init__(self, totals: Mapping[str, Tensor] | None = None, steps_with: Mapping[str, int] | None = None) -> None:
        self.totals: dict[str, Tensor] = dict(totals or {})
        self.steps_with: Counter[str] = Counter(steps_with or {})
        self.images: Tensor | None = None

    @torch.no_grad()
    def add(self, parts: Mapping[str, Tensor]) -> None:
        """Add the parts of a step, those that are there in one call."""
        known = [name for name in parts if name in self.totals]
        if known:
            own, new = [self.totals[name] for name in known], [parts[name] for name in known]
            torch._foreach_add_(own, new)  # pyright: ignore[reportPrivateImportUsage]
        if len(known) < len(parts):
            self.totals |= {name: part.detach().clone() for name, part in parts.items() if name not in self.totals}
        self.steps_with.update(parts.keys())

    @property
    def finite(self) -> Tensor:
        """Whether all sums are numbers; a scalar on their device, which nobody waits for."""
        return torch.stack([value.isfinite().all() for value in self.totals.values()]).all()

    def means(self, processes: int) -> dict[str, float]:
        """The loss and each of its parts over the steps that had it, in all of so many processes; all must ask."""
        totals = total({name: float(value) for name, value in self.totals.items()})
        return {name: value / (self.steps_with[name] * processes) for name, value in totals.items()}
