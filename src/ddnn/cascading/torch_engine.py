"""The nets of a network, run by PyTorch."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddnn.cascading.costs import Costs
from ddnn.cascading.engine import Engine
from ddnn.cascading.votes import Opinion
from ddnn.measuring.macs import macs
from ddnn.network import DepthDynamicNetwork
from ddnn.network.cascade import confidence
from ddnn.network.segments import Segment, SegmentModule
from ddnn_runtime.latency import Work


class TorchEngine(Engine):
    """A network.

    Args:
        network: on its device; it is put into evaluation mode.
        input_shape: (channels, height, width) of one image.
    """

    suits_the_run = True

    def __init__(self, network: DepthDynamicNetwork, input_shape: tuple[int, int, int]) -> None:
        self._network, self._shape = network.eval(), input_shape
        self._device = next(network.parameters()).device
        self.title: str = f"PyTorch on {self._device.type}"
        self.names: tuple[str, ...] = network.names

    @torch.inference_mode()
    def opinions(self, images: Tensor) -> dict[str, Opinion]:
        """See `Engine.opinions`; all nets run together."""
        return {
            name: (_numpy(confidence(output.logits)), _numpy(output.logits.argmax(dim=1)))
            for name, output in self._network.forward_all(images).items()
        }

    @torch.inference_mode()
    def logits(self, images: Tensor) -> dict[str, np.ndarray]:
        """See `Engine.logits`; all nets run together."""
        return {name: _numpy(output.logits.float()) for name, output in self._network.forward_all(images).items()}

    @torch.inference_mode()
    def answer(self, name: str, images: Tensor) -> np.ndarray:
        """See `Engine.answer`."""
        return _numpy(self._network(images, name).argmax(dim=1))

    @torch.inference_mode()
    def cascade(
        self, images: Tensor, thresholds: Mapping[str, float], last: str, boost: float = 0.0
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Engine.cascade`."""
        output = self._network.cascade(images, thresholds, last=last, boost=boost)
        return _numpy(output.logits.argmax(dim=1)), _numpy(output.answered_by)

    def macs(self) -> Costs:
        """See `Engine.macs`; counted in a call for one image."""
        image = torch.zeros(1, *self._shape, device=self._device)
        return Costs("macs", tuple((piece.nets, float(macs(run, value))) for piece, run, value in self._walk(image)))

    def pieces(self, images: Tensor) -> Sequence[tuple[tuple[str, ...], Work]]:
        """See `Engine.pieces`."""
        return [(piece.nets, partial(_call, run, value)) for piece, run, value in self._walk(images)]

    def wait(self) -> None:
        """See `Engine.wait`."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        elif self._device.type == "mps":
            torch.mps.synchronize()

    @torch.no_grad()  # not inference mode: counting operations takes gradients, which its tensors refuse
    def _walk(self, images: Tensor) -> list[tuple[Segment, nn.Module, Any]]:
        """Each piece, as a module, and what goes into it."""
        values: dict[int | None, Any] = {None: images}
        found: list[tuple[Segment, nn.Module, Any]] = []
        for segment in self._network.segments():
            run, value = SegmentModule(segment, self._network[segment.owner]), values[segment.source]
            values[segment.index] = run(value)
            found.append((segment, run, value))
        return found


@torch.inference_mode()
def _call(run: nn.Module, value: Any) -> None:
    run(value)


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
