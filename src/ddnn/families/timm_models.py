"""timm's image classifiers: a timm model is the full net, and any timm model that is the same with fewer blocks is a
sub-net, by its name there.

timm has hundreds of architectures, so none is described here. A timm model is taken as a model of one's own (see
`OwnModel`); what is added is what its name tells: how to build it, where its stages are, and which depth another name
means. All of that is read off a *sketch*, the model on torch's meta device, which has shapes and no numbers, so that a
request that cannot be met is refused before anything is built.

With timm 1.0.31, and one model tried of each kind:

- With the common prefix computed once: ResNet and its variants (SE, ECA, SK, Res2Net, ResNeSt, ResNeXt, ResNetV2,
  NFNet, ByobNets), RegNet, EfficientNet, MobileNet, ConvNeXt, Swin, ViT, DeiT, BEiT, EVA, MLP-Mixer, FocalNet, HGNet,
  EdgeNeXt, FastViT, CoAtNet, MaxViT and others whose stages are Sequential or ModuleList.
- One by one, with a warning, because something else than a block's output goes past a block, or the forward pass cannot
  be traced: CSPNet, CaFormer, CaiT, CoaT, CrossViT, GC ViT, HRNet, Inception-ResNet, ViT with `dynamic_img_size`.
- Not at all, because no block can be left out, or what a block gives is no tensor: VGG and DenseNet (torchvision's are
  families of their own), DLA, DPN, Inception-v3, Xception, NASNet, ConvMixer, EfficientViM, MViTv2, Twins, TNT.

A block keeps the rate of `drop_path_rate` that it has in the full net, which in timm's own smaller net would be higher.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ddnn.errors import DDNNError
from ddnn.families.family import Depth, nests
from ddnn.families.own_model import OwnModel
from ddnn.families.timm_layout import ImageLayout, find_stages, image_size
from ddnn_runtime.documents import Text

PREFIX = "timm/"
"""What the name of a timm model begins with where other models could be meant."""

_OURS = {
    "num_classes": "num_classes is an argument of its own",
    "in_chans": "say in_channels",
    "pretrained": "give the state dict of the full net as weights",
    "checkpoint_path": "give the state dict of the full net as weights",
    "features_only": "a classifier is needed",
}
"""Arguments of `timm.create_model` that are no options of a model, and what to do instead."""

_SETTINGS = ("num_heads", "global_pool")
"""Attributes of timm's modules that change what they compute, and show neither in a shape nor in `extra_repr`."""


@dataclass(frozen=True)
class TimmOptions:
    """What is stored of a timm model.

    Args:
        model: its name in timm.
        arguments: what it takes besides classes and channels, such as `img_size`.
    """

    model: Text
    arguments: Mapping[str, Any] = field(default_factory=dict)


class TimmModel(OwnModel):
    """The family of one timm model.

    Args:
        model: its name in timm, such as "resnet34" or "resnet34.a1_in1k".
        num_classes: outputs.
        in_channels: channels of the images.
        arguments: further arguments of `timm.create_model`.

    Raises:
        DDNNError: if timm is missing, has no such model, cannot build it so, or it has no stages of blocks.

    Example:
        >>> import ddnn, torch
        >>> net = ddnn.build("timm/resnet34", ["resnet18"], num_classes=5)
        >>> net.names, net.depths["resnet18"]
        (('resnet18', 'resnet34'), (2, 2, 2, 2))
    """

    name = "timm"
    options: type = TimmOptions

    def __init__(self, model: str, num_classes: int, in_channels: int, arguments: Mapping[str, Any]) -> None:
        self._chosen = TimmOptions(model.removeprefix(PREFIX), dict(arguments))
        _check_arguments(arguments)
        self._sizes = {"num_classes": num_classes, "in_chans": in_channels}
        sketch = self._sketch(self._chosen.model)
        super().__init__(sketch, find_stages(sketch, self._chosen.model), net_name(self._chosen.model))
        self._title = f"timm's {self._chosen.model}"
        self.default_input: tuple[int, int, int] = (in_channels, *image_size(sketch))
        with torch.device(next(sketch.parameters()).device):  # for tensors that its forward pass makes
            self._trial = self.try_blocks(torch.zeros(2, *self.default_input))
        self._layout = ImageLayout.of(sketch)
        for path in self.stage_ends(self.full_depth):
            if path in self._trial.shapes:
                self.feature(torch.empty(self._trial.shapes[path][1], device="meta"))

    @property
    def full(self) -> str:
        """The name of the full net."""
        return net_name(self._chosen.model)

    def parse_options(self, given: Mapping[str, Any]) -> TimmOptions:
        """Those that the family was made with: they say which family it is."""
        return self._chosen

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: Any) -> nn.Module:
        """The stock model with fresh weights for the full depth; a part of it, on the meta device, for less."""
        if depth != self.full_depth:
            return self._truncated(depth)
        model = self._create(self._chosen.model)
        for path, module in self._template.named_modules():
            if hasattr(module, "inplace"):  # the trial may have found that it must not write into its input
                model.get_submodule(path).inplace = module.inplace
        self._template = model
        return model

    def zero_branches(self, model: nn.Module) -> None:
        """What timm calls `zero_init_last`, which many of its models do by themselves; see `Family.zero_branches`."""
        blocks: list[Any] = [block for block in model.modules() if hasattr(block, "zero_init_last")]
        if not blocks:
            super().zero_branches(model)
        for block in blocks:
            block.zero_init_last()

    def check(self, depth: Depth) -> None:
        """Refuse a depth without a block that changes the shape; see `Family.check`."""
        super().check(depth)
        self.check_blocks("a sub-net", depth, self._trial)

    def feature(self, value: Any) -> Tensor:
        """See `ImageLayout`."""
        return self._layout(value)

    def depth_of(self, member: str) -> Depth:
        """The depth of the timm model of this name.

        Raises:
            DDNNError: if it is not this model with fewer blocks; the message names the first tensor or module that
                differs.
        """
        if member in self.members:
            return self.members[member]
        other = self._sketch(member.removeprefix(PREFIX))
        stages = find_stages(other, member)
        depth = tuple(len(other.get_submodule(stage)._modules) for stage in stages)
        inside = stages == self._stages and nests(depth, self.full_depth)
        # of a depth that does not nest, what differs in width says more than the depth does
        difference = first_difference(other, self._truncated(depth) if inside else self._template, inside)
        if difference is None and stages != self._stages:
            difference = f"the stages are {', '.join(stages)} there and {', '.join(self._stages)} here"
        if difference is not None:
            raise DDNNError(f"{member} is not {self._chosen.model} with fewer blocks: {difference}")
        return depth

    def named(self, subnets: Mapping[str, Depth | None]) -> dict[str, Depth | None]:
        """The same sub-nets, those that timm has with their depths, and with names that a network can use."""
        return {
            name if depth is not None else net_name(name): self.depth_of(name) if depth is None else depth
            for name, depth in subnets.items()
        }

    def _sketch(self, model: str) -> nn.Module:
        """The stock model of this name on the meta device, or a real one where its code needs numbers to build it."""
        with torch.random.fork_rng(devices=[]):  # leave the caller's seed alone
            try:
                with torch.device("meta"):
                    return self._create(model)
            except DDNNError:  # whatever is not the meta device's fault is raised again here
                return self._create(model)

    def _create(self, model: str) -> nn.Module:
        timm, arguments = import_timm(), self._chosen.arguments
        _check_name(timm, model)
        try:
            return timm.create_model(model, **self._sizes, **arguments)
        except Exception as error:  # whatever timm's own code raises
            given = f" with {dict(arguments)}" if arguments else ""
            raise DDNNError(f"timm cannot build {model}{given}: {error}") from error


def import_timm() -> ModuleType:
    """timm, which is imported only where it is used.

    Raises:
        DDNNError: if it is not installed.
    """
    try:
        import timm
    except ImportError:
        raise DDNNError("timm's models need timm, which is not installed: pip install ddnn[timm]") from None
    return timm


def net_name(model: str) -> str:
    """What a network calls a timm model.

    >>> net_name("resnet34.a1_in1k")
    'resnet34_a1_in1k'
    """
    return re.sub(r"[^A-Za-z0-9_-]", "_", model.removeprefix(PREFIX))


def first_difference(subnet: nn.Module, full: nn.Module, same_depth: bool) -> str | None:
    """The first tensor or module that two models do not have alike, in words; None if there is none.

    Args:
        subnet: the model that should be a part of the other.
        full: the other, with only those blocks that `subnet` has if `same_depth`.
        same_depth: whether `subnet` should have each tensor and module that `full` has, and no other.
    """
    inner, outer = _shapes(subnet), _shapes(full)
    for name, shape in inner.items():
        if shape != outer.get(name, shape):
            return f"widths differ: {name} has the shape {shape} there and {outer[name]} here"
    if not same_depth:
        return None
    for name in [*inner, *outer]:
        if name not in inner or name not in outer:
            return f"{name} exists only {'there' if name in inner else 'here'}"
    parts, counterparts = dict(subnet.named_modules()), dict(full.named_modules())
    for path in [*parts, *counterparts]:
        there, here = _text(parts.get(path)), _text(counterparts.get(path))
        if there != here:
            return f"{path or 'the model'} is {there} there and {here} here"
    return None


def _shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in [*model.named_parameters(), *model.named_buffers()]}


def _text(module: nn.Module | None) -> str:
    """What a module is, as far as it is no tensor: strides, kinds of activation and so on.

    Not how often it drops its input, which follows from the depth, and not whether it works in place.
    """
    if module is None:
        return "nothing"
    kind = type(module).__name__
    details = "" if kind == "DropPath" else re.sub(r"(, )?inplace=True", "", module.extra_repr())
    settings = [f"{name}={value}" for name in _SETTINGS if isinstance(value := getattr(module, name, None), int | str)]
    return f"{kind}({', '.join([*filter(None, [details]), *settings])})"


def _check_arguments(arguments: Mapping[str, Any]) -> None:
    for key, value in arguments.items():
        if key in _OURS:
            raise DDNNError(f"{key} is no option of a timm model here: {_OURS[key]}")
        try:
            json.dumps(value)
        except TypeError:
            raise DDNNError(
                f"{key} is a {type(value).__name__}; options are stored with the network, so they must be numbers, "
                "text, lists or None"
            ) from None


def _check_name(timm: ModuleType, model: str) -> None:
    if timm.is_model(model):
        return
    matches = get_close_matches(model, timm.list_models(), n=5, cutoff=0.6)
    guess = f"did you mean {' or '.join(matches)}? " if matches else ""
    raise DDNNError(f"timm has no model {model!r}; {guess}timm.list_models() lists all")
