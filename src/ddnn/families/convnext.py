"""torchvision's ConvNeXts: tiny in small (Liu et al., arXiv 2201.03545). Base and large are wider, and do not nest."""

from collections.abc import Iterator, Mapping

from torch import Tensor, nn
from torchvision.models.convnext import CNBlock, CNBlockConfig, ConvNeXt

from ddnn.families.family import Depth, Family, Step
from ddnn.families.stochastic_depth import StochasticDepthOptions

CHANNELS = (96, 192, 384, 768)


class ConvNeXtFamily(Family):
    """ConvNeXts of the width of tiny and small, as `torchvision.models.ConvNeXt`."""

    name = "convnext"
    members: Mapping[str, Depth] = {"convnext_tiny": (3, 3, 9, 3), "convnext_small": (3, 3, 27, 3)}
    options: type = StochasticDepthOptions

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: StochasticDepthOptions) -> nn.Module:
        """A `torchvision.models.ConvNeXt`; see `Family.build`."""
        settings = [
            CNBlockConfig(channels, following, blocks)
            for channels, following, blocks in zip(CHANNELS, (*CHANNELS[1:], None), depth, strict=True)
        ]
        model = ConvNeXt(settings, options.stochastic_depth, num_classes=num_classes)
        if in_channels != 3:
            stem = nn.Conv2d(in_channels, CHANNELS[0], kernel_size=4, stride=4)
            nn.init.trunc_normal_(stem.weight, std=0.02)
            assert stem.bias is not None
            nn.init.zeros_(stem.bias)
            model.features[0].register_module("0", stem)
        return model

    def steps(self, depth: Depth) -> list[Step]:
        """Stem, each block, each downsampling, head; see `Family.steps`."""
        return [Step("stem", ("features.0",)), *numbered_stages(depth), Step("head", ("avgpool", "classifier"))]

    def branch_ends(self, model: nn.Module) -> Iterator[Tensor]:
        """The scale of each block, which is 1e-6 in a stock model; see `Family.branch_ends`."""
        return (block.layer_scale for block in model.modules() if isinstance(block, CNBlock))


def numbered_stages(depth: Depth) -> list[Step]:
    """Blocks and downsampling of a net with stages at `features.1`, `.3` and so on, and downsampling between them."""
    steps = []
    for stage, blocks in enumerate(depth):
        for block in range(blocks):
            path = f"features.{2 * stage + 1}.{block}"
            steps.append(Step(path, (path,), ends_stage=block == blocks - 1))
        if stage < len(depth) - 1:
            path = f"features.{2 * stage + 2}"
            steps.append(Step(path, (path,)))
    return steps


FAMILIES: tuple[Family, ...] = (ConvNeXtFamily(),)
