"""The order of images where all classes are to come equally often, however few images some of them have.

Sampling with replacement by inverse frequency (torch's `WeightedRandomSampler`) is the same on average. Here each class
comes exactly as often as the others, and an image comes again only when all of its class have come as often.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ddnn.data.splits import Split
from ddnn.errors import DataError


@dataclass(frozen=True)
class Balance:
    """What is needed to balance classes.

    Args:
        labels: of the images, int64 of shape (images,).
    """

    labels: np.ndarray

    @classmethod
    def of(cls, split: Split) -> "Balance":
        """What is needed to balance the classes of a split.

        Raises:
            DataError: its images are not at hand.
        """
        if split.blocks is not None:
            raise DataError(
                "sampler balanced takes images of rare classes again and again, from all over the data set, and remote "
                "shards are gone through a few at a time; give class_weights balanced, or copy the shards here"
            )
        return cls(split.labels)

    def shuffled(self, generator: Generator) -> Tensor:
        """As many image numbers as there are images, as many of each class that occurs as of the others (one more of
        some, where that does not come out even), in random order: int64 of shape (images,).

        Example:
            >>> labels = np.array([0, 0, 0, 0, 0, 0, 0, 1])
            >>> order = Balance(labels).shuffled(torch.Generator().manual_seed(0))
            >>> sorted(order.tolist())[-4:], len(set(order.tolist()))
            ([7, 7, 7, 7], 5)
        """
        members = [torch.from_numpy(np.flatnonzero(self.labels == label)) for label in np.unique(self.labels)]
        each, more = divmod(len(self.labels), len(members))
        favoured = torch.randperm(len(members), generator=generator)[:more].tolist()
        wanted = [each + (place in favoured) for place in range(len(members))]
        chosen = torch.cat([_taken(own, count, generator) for own, count in zip(members, wanted, strict=True)])
        return chosen[torch.randperm(len(chosen), generator=generator)]


def _taken(images: Tensor, count: int, generator: Generator) -> Tensor:
    """So many of the images, each once more only after all the others."""
    rounds = max(1, -(-count // len(images)))
    return torch.cat([images[torch.randperm(len(images), generator=generator)] for _ in range(rounds)])[:count]
