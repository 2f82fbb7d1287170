"""torchvision's vision transformers at any number of encoder layers (Dosovitskiy et al., arXiv 2010.11929).

B and L differ in width, and so do not nest; within each, every depth does: `{"vit_6": (6,)}`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import EncoderBlock, VisionTransformer

from ddnn.errors import DDNNError
from ddnn.families.family import Depth, Family, Step
from ddnn.families.swin import last_linear


@dataclass(frozen=True)
class ViTOptions:
    """Options of torchvision's vision transformers.

    Args:
        image_size: side of the images in pixels, a multiple of the patch; the position embedding depends on it.
        dropout: probability after each linear layer.
    """

    image_size: int = 224
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.image_size, int) or self.image_size < 1:
            raise DDNNError(f"image_size must be a whole number of pixels, not {self.image_size!r}")
        if not 0 <= self.dropout < 1:
            raise DDNNError(f"dropout must be in [0, 1), not {self.dropout}")


def embed(model: nn.Module, images: Tensor) -> Tensor:
    """What torchvision does before the encoder's layers: patches, class token, position embedding."""
    assert isinstance(model, VisionTransformer)
    patches = model._process_input(images)
    tokens = torch.cat([model.class_token.expand(images.shape[0], -1, -1), patches], dim=1)
    return model.encoder.dropout(tokens + model.encoder.pos_embedding)


def first_token(_: nn.Module, tokens: Tensor) -> Tensor:
    """The class token, (batch, width)."""
    return tokens[:, 0]


def token_grid(tokens: Tensor) -> Tensor:
    """(batch, 1 + patches, width) to (batch, width, height, width in patches), without the class token."""
    side = isqrt(tokens.shape[1] - 1)
    return tokens[:, 1:].transpose(1, 2).unflatten(2, (side, side))


class TorchvisionViT(Family):
    """Vision transformers of one width, as `torchvision.models.VisionTransformer`.

    All encoder layers are one stage. Its feature is what the last layer gives for the patches, without the class
    token, as a grid: (batch, channels, height, width). Its self-attention map is the sum over channels at each patch,
    standardised, as for a convolutional net.
    """

    options: type = ViTOptions

    def __init__(self, name: str, layers: int, patch: int, heads: int, width: int) -> None:
        self.name = name
        self.members: Mapping[str, Depth] = {name: (layers,)}
        self._patch = patch
        self._heads = heads
        self._width = width

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: ViTOptions) -> nn.Module:
        """A `torchvision.models.VisionTransformer`; see `Family.build`."""
        if options.image_size % self._patch:
            raise DDNNError(f"image_size must be a multiple of {self.name}'s patch, {self._patch} pixels, "
                            f"not {options.image_size}")  # fmt: skip
        model = VisionTransformer(
            options.image_size,
            self._patch,
            num_layers=depth[0],
            num_heads=self._heads,
            hidden_dim=self._width,
            mlp_dim=4 * self._width,
            dropout=options.dropout,
            num_classes=num_classes,
        )
        if in_channels != 3:
            model.conv_proj = nn.Conv2d(in_channels, self._width, kernel_size=self._patch, stride=self._patch)
            nn.init.trunc_normal_(model.conv_proj.weight, std=(in_channels * self._patch**2) ** -0.5)
            assert model.conv_proj.bias is not None
            nn.init.zeros_(model.conv_proj.bias)
        return model

    def steps(self, depth: Depth) -> list[Step]:
        """Embedding, each encoder layer, head; see `Family.steps`."""
        embedding = ("conv_proj", "class_token", "encoder.pos_embedding", "encoder.dropout")
        paths = [f"encoder.layers.encoder_layer_{layer}" for layer in range(depth[0])]
        layers = [Step(path, (path,), ends_stage=path == paths[-1], feature=token_grid) for path in paths]
        head = Step("head", ("encoder.ln", first_token, "heads"))
        return [Step("embedding", (embed,), owns=embedding), *layers, head]

    def branch_ends(self, model: nn.Module) -> Iterator[Tensor]:
        """The last linear layers of attention and MLP; see `Family.branch_ends`."""
        for block in model.modules():
            if isinstance(block, EncoderBlock):
                yield from (*block.self_attention.out_proj.parameters(), *last_linear(block.mlp).parameters())


FAMILIES: tuple[Family, ...] = (
    TorchvisionViT("vit_b_16", layers=12, patch=16, heads=12, width=768),
    TorchvisionViT("vit_b_32", layers=12, patch=32, heads=12, width=768),
    TorchvisionViT("vit_l_16", layers=24, patch=16, heads=16, width=1024),
    TorchvisionViT("vit_l_32", layers=24, patch=32, heads=16, width=1024),
)
