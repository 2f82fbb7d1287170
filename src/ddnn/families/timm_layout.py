"""Where a timm model has its stages, and how it lays out what comes out of them.

timm's models agree on conventions but not on one layout: ResNets have `layer1` to `layer4`, ConvNeXt has
`stages.0.blocks`, Swin keeps the channels last, and a ViT works on a sequence of patches and class tokens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isqrt
from typing import Any

from torch import Tensor, nn

from ddnn.errors import DDNNError
from ddnn.families.own_model import runs_in_order

_NOT_STAGES = ("stem", "patch_embed", "downsample", "final_conv", "head", "classifier", "norm")
"""Names of modules that may hold a sequence of layers, but no blocks to leave out."""

_HOLDS_BLOCKS = ("blocks", "transformer_encoder")
"""What timm's stages call the container of their blocks."""


def find_stages(model: nn.Module, name: str) -> tuple[str, ...]:
    """Paths of the outermost containers of blocks.

    A block has modules of its own. A container of stages is none of blocks: stages are containers themselves, or hold
    one as `blocks` or `transformer_encoder`.

    Args:
        model: any timm model.
        name: what to call it in a message.

    Raises:
        DDNNError: if it has none; the message lists the containers that it has.
    """
    stages = tuple(_stages(model, ""))
    if not stages:
        found = [path for path, module in model.named_modules() if path and runs_in_order(module)]
        raise DDNNError(
            f"timm's {name} has no stages of blocks that run one after the other, so no block can be left out; "
            f"its Sequential and ModuleList modules are: {', '.join(found) or 'none'} (ddnn.from_model takes paths)"
        )
    return stages


def _stages(module: nn.Module, prefix: str) -> Iterator[str]:
    for name, child in module.named_children():
        if name in _NOT_STAGES:
            continue
        if _is_container(child) and all(_is_block(block) for block in child.children()):
            yield prefix + name
        else:
            yield from _stages(child, f"{prefix}{name}.")


def _is_container(module: nn.Module) -> bool:
    """Subclasses of Sequential are layers of their own, such as a convolution with its norm."""
    plain = type(module) in (nn.Sequential, nn.ModuleList) or not isinstance(module, nn.Sequential | nn.ModuleList)
    return plain and runs_in_order(module) and len(module._modules) > 0


def _is_block(module: nn.Module) -> bool:
    inner = [child for name, child in module.named_children() if name in _HOLDS_BLOCKS]
    is_stage = any(_is_container(child) for child in (module, *inner))
    return not is_stage and any(True for _ in module.children())


def image_size(model: nn.Module) -> tuple[int, int]:
    """Height and width of the images that a timm model is meant for."""
    size = getattr(getattr(model, "patch_embed", None), "img_size", None)
    if size is None:
        size = getattr(model, "pretrained_cfg", {}).get("input_size", (3, 224, 224))[1:]
    height, width = size
    return int(height), int(width)


@dataclass(frozen=True)
class ImageLayout:
    """Makes (batch, channels, height, width) of what a stage gives.

    Args:
        channels_last: whether a value of four axes is (batch, height, width, channels).
        prefix: tokens before those of the patches: class, distillation and register tokens. They have no place in the
            image, so they are left out.
        grid: rows and columns of patches; where they are others, or unknown (None), there are as many rows as columns.
    """

    channels_last: bool
    prefix: int
    grid: tuple[int, int] | None

    @classmethod
    def of(cls, model: nn.Module) -> "ImageLayout":
        """The layout of a timm model."""
        grid = getattr(getattr(model, "patch_embed", None), "grid_size", None)
        return cls(
            channels_last=str(getattr(model, "output_fmt", "NCHW")).endswith("NHWC"),
            prefix=int(getattr(model, "num_prefix_tokens", 0)),
            grid=None if grid is None else (int(grid[0]), int(grid[1])),
        )

    def __call__(self, value: Any) -> Tensor:
        """The value as (batch, channels, height, width).

        Raises:
            DDNNError: if it is no such value.
        """
        if isinstance(value, Tensor) and value.ndim == 4:
            return value.permute(0, 3, 1, 2) if self.channels_last else value
        if not isinstance(value, Tensor) or value.ndim != 3:
            found = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise DDNNError(f"a stage gives {found}, which is neither an image nor a sequence of tokens")
        prefix, height, width = self._split(value.shape[1])
        return value[:, prefix:].transpose(1, 2).unflatten(2, (height, width))

    def _split(self, tokens: int) -> tuple[int, int, int]:
        """Tokens before those of the patches, rows and columns: some models add the class token after a stage."""
        if self.grid is not None:
            for prefix in (self.prefix, 0):
                if self.grid[0] * self.grid[1] == tokens - prefix:
                    return prefix, *self.grid
        for prefix in (self.prefix,) if self.grid is not None else (self.prefix, 0, 1):
            side = isqrt(tokens - prefix)
            if side * side == tokens - prefix:
                return prefix, side, side
        raise DDNNError(f"a stage gives {tokens} tokens, which fill neither the grid {self.grid} nor a square")
