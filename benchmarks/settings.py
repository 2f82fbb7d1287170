"""Where and how things run: one setting for both sides of every ratio."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

Model = TypeVar("Model", bound=nn.Module)
Function = TypeVar("Function", bound=Callable[..., object])


@dataclass(frozen=True)
class Setting:
    """A device and what is done to everything that runs there.

    Args:
        device: cpu or cuda.
        precision: fp32, or bf16 through torch.autocast.
        compile: compile forward and backward passes with torch.compile, each loss as one program.
        channels_last: keep images and convolutions in channels-last order.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["fp32", "bf16"] = "fp32"
    compile: bool = False
    channels_last: bool = False

    def place(self, model: Model) -> Model:
        """The model on the device, its parameters in the order that is asked for."""
        model.to(self.device)
        if self.channels_last:
            model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # missing in torch's stubs
        return model

    def images(self, batch: int, side: int) -> Tensor:
        """Noise, (batch, 3, side, side)."""
        return self.arrange(torch.randn(batch, 3, side, side, device=self.device))

    def arrange(self, images: Tensor) -> Tensor:
        """The images in the order that is asked for."""
        return images.contiguous(memory_format=torch.channels_last) if self.channels_last else images

    def program(self, function: Function) -> Function:
        """The function in the number format that is asked for, and compiled if that is."""
        return self.in_precision(self._compiled(function) if self.compile else function)

    def in_precision(self, function: Function) -> Function:
        """The function in the number format that is asked for."""

        def program(*arguments: Any) -> Any:
            with torch.autocast(self.device, dtype=torch.bfloat16, enabled=self.precision == "bf16"):
                return function(*arguments)

        return program  # pyright: ignore[reportReturnType]

    def _compiled(self, function: Function) -> Function:
        # The stock models' losses come from one `def`, and torch compiles eight of those at most unless it is told.
        torch._dynamo.config.recompile_limit = 100
        compiled: Any = torch.compile(function, dynamic=False)
        return compiled

    def __str__(self) -> str:
        layout = ["channels-last"] if self.channels_last else []
        return ", ".join([self.device, self.precision, "compiled" if self.compile else "eager", *layout])
