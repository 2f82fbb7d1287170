"""Run a user's model once, to learn what its blocks do: the shapes that go in and out, and whether they spoil their
input."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Size, Tensor, nn

from ddnn.errors import DDNNError, first_line
from ddnn.families.modes import in_mode


@dataclass(frozen=True)
class Trial:
    """What was seen when the full net ran once.

    Args:
        shapes: for each block, the shape of its input and of its output.
        in_place: blocks that changed their input.
        images: what it ran on.
        logits: what it gave, (batch, classes).
    """

    shapes: dict[str, tuple[Size, Size]]
    in_place: tuple[str, ...]
    images: Tensor
    logits: Tensor


class _Watcher:
    """Hooks that note what goes through one block."""

    def __init__(self, block: nn.Module) -> None:
        self.shapes: tuple[Size, Size] | None = None
        self.in_place = False
        self._version = 0
        self._handles = [block.register_forward_pre_hook(self._before), block.register_forward_hook(self._after)]

    def _before(self, _block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        self._version = inputs[0]._version

    def _after(self, _block: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        self.shapes = inputs[0].shape, output.shape
        self.in_place = inputs[0]._version != self._version

    def remove(self) -> None:
        for handle in self._handles:
            handle.remove()


@torch.no_grad()
def try_model(model: nn.Module, blocks: Iterable[str], example: Tensor | None) -> Trial:
    """Run `model` in evaluation mode on `example`, by default on two images of 224x224 random numbers.

    Raises:
        DDNNError: if it does not run, or gives no (batch, classes) logits.
    """
    images = _noise(model) if example is None else example
    watchers = {path: _Watcher(model.get_submodule(path)) for path in blocks}
    try:
        with in_mode(model, training=False):
            logits: Any = model(images)
    except (RuntimeError, AttributeError, TypeError, ValueError, IndexError) as error:
        raise DDNNError(
            f"the model does not run on images of shape {tuple(images.shape)}: {first_line(error)}; "
            "give a batch that it takes as example="
        ) from None
    finally:
        for watcher in watchers.values():
            watcher.remove()
    if not isinstance(logits, Tensor) or logits.ndim != 2:
        found = f"shape {tuple(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise DDNNError(f"the model must give logits of shape (batch, classes); it gives {found}")
    shapes = {path: watcher.shapes for path, watcher in watchers.items() if watcher.shapes is not None}
    in_place = tuple(path for path, watcher in watchers.items() if watcher.in_place)
    return Trial(shapes, in_place, images, logits)


def _noise(model: nn.Module) -> Tensor:
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    channels = first.in_channels if first is not None else 3
    images = torch.randn(2, channels, 224, 224, generator=torch.Generator().manual_seed(0))
    return images.to(next(model.parameters()).device)
