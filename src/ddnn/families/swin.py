"""torchvision's Swin transformers: T in S, for both versions (Liu et al., arXiv 2103.14030 and 2111.09883).

B is wider, and does not nest.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn
from torchvision.models.swin_transformer import (
    PatchMerging,
    PatchMergingV2,
    SwinTransformer,
    SwinTransformerBlock,
    SwinTransformerBlockV2,
)

from ddnn.families.convnext import numbered_stages
from ddnn.families.family import Depth, Family, Step
from ddnn.families.stochastic_depth import StochasticDepthOptions

WIDTH = 96
HEADS = (3, 6, 12, 24)


def channels_first(value: Tensor) -> Tensor:
    """(batch, height, width, channels), as Swin has it, to (batch, channels, height, width); nothing is copied."""
    return value.permute(0, 3, 1, 2)


class TorchvisionSwin(Family):
    """Swin transformers of the width of T and S, as `torchvision.models.SwinTransformer`.

    The tokens of a stage lie on a grid. Its feature is that grid, (batch, channels, height, width), before the patches
    are merged; its self-attention map is the sum over channels at each place of the grid, standardised, as for a
    convolutional net.
    """

    options: type = StochasticDepthOptions

    def __init__(
        self, name: str, members: Mapping[str, Depth], block: type[nn.Module], merging: type[nn.Module], window: int
    ) -> None:
        self.name = name
        self.members = members
        self._block = block
        self._merging = merging
        self._window = window

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: StochasticDepthOptions) -> nn.Module:
        """A `torchvision.models.SwinTransformer`; see `Family.build`."""
        model = SwinTransformer(
            patch_size=[4, 4],
            embed_dim=WIDTH,
            depths=list(depth),
            num_heads=list(HEADS),
            window_size=[self._window, self._window],
            stochastic_depth_prob=options.stochastic_depth,
            num_classes=num_classes,
            block=self._block,
            downsample_layer=self._merging,
        )
        if in_channels != 3:
            patches: Any = model.features[0]
            patches[0] = nn.Conv2d(in_channels, WIDTH, kernel_size=4, stride=4)
        return model

    def steps(self, depth: Depth) -> list[Step]:
        """Patches, each block, each merging, head; see `Family.steps`."""
        stages = [replace(step, feature=channels_first) for step in numbered_stages(depth)]
        head = Step("head", ("norm", "permute", "avgpool", "flatten", "head"))
        return [Step("patches", ("features.0",)), *stages, head]

    def branch_ends(self, model: nn.Module) -> Iterator[Tensor]:
        """The last linear layers of attention and MLP, or in version 2 the norms after them; see
        `Family.branch_ends`."""
        for block in model.modules():
            if isinstance(block, SwinTransformerBlockV2):
                yield from (*block.norm1.parameters(), *block.norm2.parameters())
            elif isinstance(block, SwinTransformerBlock):
                yield from (*block.get_submodule("attn.proj").parameters(), *last_linear(block.mlp).parameters())


def last_linear(mlp: nn.Sequential) -> nn.Module:
    """The last linear layer of one of torchvision's MLPs."""
    return [module for module in mlp if isinstance(module, nn.Linear)][-1]


DEPTHS: dict[str, Depth] = {"t": (2, 2, 6, 2), "s": (2, 2, 18, 2)}

FAMILIES: tuple[Family, ...] = (
    TorchvisionSwin(
        "swin", {f"swin_{size}": depth for size, depth in DEPTHS.items()}, SwinTransformerBlock, PatchMerging, window=7
    ),
    TorchvisionSwin(
        "swin_v2",
        {f"swin_v2_{size}": depth for size, depth in DEPTHS.items()},
        SwinTransformerBlockV2,
        PatchMergingV2,
        window=8,
    ),
)
