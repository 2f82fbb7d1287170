"""Let shallow nets answer where they are sure, and deeper ones the rest.

Which images are easy is what the shallow net itself finds out: where its largest softmax probability reaches a
threshold, its answer is taken (Wang et al., arXiv 1706.00885, and many since). A deeper net goes on from where it
leaves those that were asked before it, so what they have in common is not computed again.

What the shallower net has said of an image need not be thrown away: with a share above 0, a net's logits are its own
plus that share of those of the net asked before it, which have such a share in them already,
z'_k = z_k + w z'_{k-1}. That is the sum of boosted dynamic networks (Yu et al., AAAI 2023, arXiv 2211.16726), with one
weight, and chosen after training.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from ddnn.errors import DDNNError
from ddnn.network.segments import Segment


class CascadeOutput(NamedTuple):
    """What a cascade gives for a batch.

    Args:
        logits: of the net that answered, (batch, classes), with its share of those before it.
        answered_by: which net that is, int64 of shape (batch,), as a place in `names`.
        names: the nets of the cascade, shallow to deep.
    """

    logits: Tensor
    answered_by: Tensor
    names: tuple[str, ...]


def run_cascade(
    nets: Mapping[str, nn.Module],
    pieces: Sequence[Segment],
    thresholds: Mapping[str, float],
    x: Tensor,
    boost: float = 0.0,
) -> CascadeOutput:
    """Ask the nets one after the other, each for the images that are left.

    Args:
        nets: shallow to deep.
        pieces: what they consist of.
        thresholds: of all but the last.
        x: images, (batch, channels, height, width).
        boost: share of the logits of the net asked before that is added to a net's own.

    Raises:
        DDNNError: in training mode, or if the nets pass on something that cannot be taken apart by images.
    """
    if any(net.training for net in nets.values()):
        raise DDNNError("a cascade answers, it does not learn: call net.eval() first")
    left = torch.arange(len(x), device=x.device)
    values = _Values(nets, pieces, x, left)
    answers: list[tuple[Tensor, Tensor, int]] = []
    before: Tensor | None = None  # what was said of the images that are left
    for place, name in enumerate(nets):
        logits = values.logits(name, left)
        if boost and before is not None:
            logits = logits + boost * before
        sure = confidence(logits) >= thresholds[name] if name in thresholds else None
        if sure is None or bool(sure.all()):
            answers.append((left, logits, place))
            break
        if bool(sure.any()):
            answers.append((left[sure], logits[sure], place))
            left, logits = left[~sure], logits[~sure]
        before = logits
    return CascadeOutput(*_in_order(answers), tuple(nets))


def _in_order(answers: list[tuple[Tensor, Tensor, int]]) -> tuple[Tensor, Tensor]:
    """Logits and who answered, from the images of each net, their logits, and its place."""
    if len(answers) == 1:
        rows, logits, place = answers[0]
        return logits, torch.full_like(rows, place)
    order = torch.cat([rows for rows, _, _ in answers]).argsort()
    who = torch.cat([torch.full_like(rows, place) for rows, _, place in answers])
    return torch.cat([logits for _, logits, _ in answers])[order], who[order]


def confidence(logits: Tensor) -> Tensor:
    """The largest softmax probability, (batch,), of logits (batch, classes)."""
    return logits.float().softmax(dim=1).amax(dim=1)


class _Values:
    """The values at the places where nets part, each for the images that were left when it was computed."""

    def __init__(self, nets: Mapping[str, nn.Module], pieces: Sequence[Segment], x: Tensor, rows: Tensor) -> None:
        self._nets, self._pieces = nets, pieces
        self._held: dict[int | None, tuple[Tensor, Any]] = {None: (rows, x)}

    def logits(self, name: str, left: Tensor) -> Tensor:
        """Those of a net for the images `left`."""
        path = [piece for piece in self._pieces if name in piece.nets]
        done = [piece.index for piece in path if piece.index in self._held]
        rows, value = self._held[done[-1] if done else None]
        value = value if len(left) == len(rows) else _taken(name, value, len(rows), torch.searchsorted(rows, left))
        for piece in path[len(done) :]:
            value = piece.run(self._nets[piece.owner], value)
            if piece.nets[-1] != name:  # a deeper net goes on from here
                self._held[piece.index] = (left, value)
        return value


def _taken(name: str, value: Any, images: int, places: Tensor) -> Any:
    """A value for some of its images."""

    def take(tensor: Tensor) -> Tensor:
        if tensor.shape[:1] != (images,):
            raise DDNNError(
                f"{name} cannot go on with some images of a batch: its blocks pass on a tensor of shape "
                f"{tuple(tensor.shape)}, whose first size is not the number of images, {images}"
            )
        return tensor.index_select(0, places)

    return tree_map_only(Tensor, take, value)
