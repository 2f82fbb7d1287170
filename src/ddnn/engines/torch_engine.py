"""The nets of a network, run by PyTorch."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ddnn.data import read_image
from ddnn.engines.engine import Engine, Images, Nets, Opinion
from ddnn.errors import DDNNError
from ddnn.measuring.macs import macs
from ddnn.network import DepthDynamicNetwork
from ddnn.network.cascade import confidence
from ddnn.network.segments import Segment, SegmentModule
from ddnn_runtime.answers import Answers
from ddnn_runtime.latency import Work

TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
"""Number formats, by the names that users give them."""


class TorchEngine(Engine):
    """A network.

    Args:
        network: on its device; it is put into evaluation mode.
        input_shape: (channels, height, width) of one image; None means what the network knows of its data, or else its
            family's usual one.
        models: what runs in place of nets that are called by themselves, such as stock models that were taken out of
            the network, in another number format or compiled.
    """

    def __init__(
        self,
        network: DepthDynamicNetwork,
        input_shape: tuple[int, int, int] | None = None,
        *,
        models: Mapping[str, nn.Module] | None = None,
    ) -> None:
        self._network, self._models, self._spec = network.eval(), dict(models or {}), network.data_spec
        self._device = next(network.parameters()).device
        self.device: str = self._device.type
        self.names: tuple[str, ...] = network.names
        kind = next(self._model(network.full).parameters()).dtype
        self.precision: str = next((name for name, other in TYPES.items() if other == kind), str(kind))
        self.title: str = f"PyTorch on {self.device}"
        height, width = self._spec.size if self._spec else network.family.default_input[1:]
        self.input_shape: tuple[int, int, int] = input_shape or (network.in_channels, height, width)
        self.class_names: tuple[str, ...] | None = self._spec.class_names if self._spec else None

    def read(self, *paths: str | Path) -> np.ndarray:
        """See `Engine.read`."""
        if self._spec is None:
            raise DDNNError("this network was saved without normalisation; set net.data_spec and save it again")
        return np.stack([read_image(path, self._spec).numpy() for path in paths])

    @torch.inference_mode()
    def __call__(self, images: Images, name: str | None = None) -> np.ndarray:
        """See `Engine.__call__`."""
        return _logits(self._model(self.full if name is None else name)(self._here(images)))

    @torch.inference_mode()
    def joint(self, images: Images, names: Sequence[str] | None = None) -> dict[str, np.ndarray]:
        """See `Engine.joint`."""
        outputs = self._network.forward_all(self._here(images), names)
        return {name: _logits(output.logits) for name, output in outputs.items()}

    @torch.inference_mode()
    def opinions(self, images: Images) -> dict[str, Opinion]:
        """See `Engine.opinions`; all nets run together."""
        return {
            name: (_numpy(confidence(output.logits)), _numpy(output.logits.argmax(dim=1)))
            for name, output in self._network.forward_all(self._here(images)).items()
        }

    @torch.inference_mode()
    def cascade(
        self, images: Images, thresholds: Mapping[str, float], last: str | None = None, boost: float = 0.0
    ) -> Answers:
        """See `Engine.cascade`."""
        output = self._network.cascade(self._here(images), thresholds, last=last, boost=boost)
        return Answers(_logits(output.logits), _numpy(output.answered_by), output.names)

    def work(self, images: Images, name: str) -> Work:
        """See `Engine.work`."""
        return partial(_call, self._model(name), self._here(images))

    def piece_macs(self) -> tuple[tuple[Nets, float], ...]:
        """See `Engine.piece_macs`; counted in a call for one image."""
        image = torch.zeros(1, *self.input_shape, device=self._device)
        return tuple((piece.nets, float(macs(run, value))) for piece, run, value in self._walk(image))

    def piece_works(self, images: Images) -> Sequence[tuple[Nets, Work]]:
        """See `Engine.piece_works`."""
        return [(piece.nets, partial(_call, run, value)) for piece, run, value in self._walk(self._here(images))]

    def wait(self) -> None:
        """See `Engine.wait`."""
        if self.device == "cuda":
            torch.cuda.synchronize(self._device)
        elif self.device == "mps":
            torch.mps.synchronize()

    def _model(self, name: str) -> nn.Module:
        return self._models[name] if name in self._models else self._network[name]

    def _here(self, images: Images) -> Tensor:
        return torch.as_tensor(images, device=self._device)

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


@contextmanager
def torch_threads(number: int) -> Iterator[None]:
    """PyTorch with so many threads; they are the whole process's."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@torch.inference_mode()
def _call(run: nn.Module, value: Any) -> None:
    run(value)


def _logits(tensor: Tensor) -> np.ndarray:
    return _numpy(tensor.float())


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
