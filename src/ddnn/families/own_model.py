"""A user's own model as a family of one member: a sub-net is the model with the last blocks of each stage left out."""

import warnings
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Size, Tensor, nn

from ddnn.errors import DDNNError
from ddnn.families.family import Depth, Family, Step
from ddnn.families.tracing import NotSteps, trace_steps
from ddnn.families.trial import Trial, try_model
from ddnn_runtime.documents import Text


@dataclass(frozen=True)
class OwnModelOptions:
    """What is stored of a user's model.

    Args:
        stages: paths of the stages.
        out_of_place: blocks whose activations were told not to write into their input.
    """

    stages: tuple[Text, ...] = ()
    out_of_place: tuple[Text, ...] = ()


class OwnModel(Family):
    """The family of one given model.

    Args:
        model: the full net.
        stages: paths of its stages.
        full: its name.

    Raises:
        DDNNError: if a path is not that of an `nn.Sequential` or `nn.ModuleList`.
    """

    name = "own"
    options: type = OwnModelOptions
    images_are_independent = False  # it cannot be known of a user's modules

    def __init__(self, model: nn.Module, stages: tuple[str, ...], full: str) -> None:
        if not stages:
            raise DDNNError("stages is empty: give the paths of the model's stages, such as ['layer1', 'layer2']")
        self._template = model
        self._stages = stages
        self._blocks = {stage: _block_paths(model, stage) for stage in stages}
        self.full_depth: Depth = tuple(len(blocks) for blocks in self._blocks.values())
        self.members: Mapping[str, Depth] = {full: self.full_depth}
        self.out_of_place: tuple[str, ...] = ()
        self._title = type(model).__name__
        self._warned = False

    def build(self, depth: Depth, num_classes: int, in_channels: int, options: Any) -> nn.Module:
        """The model without the blocks past `depth`, its tensors on the meta device; see `Family.build`."""
        return self._truncated(depth)

    def _truncated(self, depth: Depth) -> nn.Module:
        tensors = [*self._template.parameters(), *self._template.buffers()]
        model = deepcopy(self._template, {id(tensor): _on_meta(tensor) for tensor in tensors})
        for stage, blocks in zip(self._stages, depth, strict=True):
            container = model.get_submodule(stage)
            for child in list(container._modules)[blocks:]:
                del container._modules[child]
        return model

    def steps(self, depth: Depth) -> list[Step] | None:
        """Each block and what lies between; None, with a warning, if the model cannot be described so."""
        blocks = [block for kept in self._kept(depth) for block in kept]
        model = self._truncated(depth)
        try:
            steps = _with_rest(model, trace_steps(model, blocks, set(self.stage_ends(depth))))
            return [replace(step, feature=self.feature) if step.ends_stage else step for step in steps]
        except NotSteps as reason:
            if not self._warned:
                self._warned = True
                warnings.warn(
                    f"{self._title} cannot be described as steps, so its nets run one by one and nothing is computed "
                    f"once for all: {reason}",
                    stacklevel=2,
                )
            return None

    def zero_branches(self, model: nn.Module) -> None:
        """Refused: where a user's branches end is not known; see `Family.zero_branches`."""
        raise DDNNError(f"zero_init is not possible for {self._title}: it is not known where its residual branches "
                        "end; leave it out")  # fmt: skip

    def stage_ends(self, depth: Depth) -> tuple[str, ...]:
        """The last block of each stage."""
        return tuple(kept[-1] for kept in self._kept(depth))

    def try_blocks(self, example: Tensor | None) -> Trial:
        """Run the full net once, and make blocks that change their input in place leave it alone.

        The input of a block is also the input of another sub-net's next step, so nothing may be written into it.

        Raises:
            DDNNError: if the model does not run, a block writes into its input by other means than `inplace=True`, or
                counts on it.
        """
        blocks = [path for paths in self._blocks.values() for path in paths]
        trial = try_model(self._template, blocks, example)
        if not trial.in_place:
            return trial
        self.leave_inputs_alone(trial.in_place)
        again = try_model(self._template, blocks, example)
        if again.in_place or not (again.logits.is_meta or torch.equal(again.logits, trial.logits)):
            raise DDNNError(
                f"{', '.join(again.in_place or trial.in_place)} write into their input, which other sub-nets need too; "
                "use operations that are not in place"
            )
        return again

    def leave_inputs_alone(self, blocks: tuple[str, ...]) -> None:
        """Switch `inplace` off in these blocks."""
        self.out_of_place = blocks
        for path in blocks:
            for module in self._template.get_submodule(path).modules():
                if hasattr(module, "inplace"):
                    module.inplace = False  # pyright: ignore[reportArgumentType]

    def check_blocks(self, subnet: str, depth: Depth, trial: Trial) -> None:
        """Refuse a sub-net that leaves out a block which changes the shape.

        Raises:
            DDNNError: naming the block, and how many blocks of its stage must stay.
        """
        for stage, kept in zip(self._stages, depth, strict=True):
            for number, path in reversed(list(enumerate(self._blocks[stage], start=1))):
                before, after = trial.shapes.get(path, (None, None))
                if number > kept and before != after:
                    raise DDNNError(
                        f"{subnet} with depth {depth} would leave out {path}, which cannot be left out: it changes the "
                        f"shape from {_text(before)} to {_text(after)}; keep at least {number} blocks of {stage}"
                    )

    def _kept(self, depth: Depth) -> list[list[str]]:
        return [self._blocks[stage][:blocks] for stage, blocks in zip(self._stages, depth, strict=True)]


def runs_in_order(module: nn.Module) -> bool:
    """Whether the children of `module` run one after the other: an `nn.Sequential`, an `nn.ModuleList`, or timm's
    RegStage, which has them as attributes and goes through `children()`."""
    return isinstance(module, nn.Sequential | nn.ModuleList) or type(module).__name__ == "RegStage"


def _block_paths(model: nn.Module, stage: str) -> list[str]:
    try:
        container = model.get_submodule(stage)
    except AttributeError:
        found = [name for name, module in model.named_modules() if runs_in_order(module) and len(module._modules) > 1]
        raise DDNNError(
            f"the model has no module {stage!r}; its Sequential and ModuleList modules of more than one "
            f"block are: {', '.join(found) or 'none'}"
        ) from None
    if not runs_in_order(container) or not container._modules:
        raise DDNNError(
            f"{stage} is a {type(container).__name__}; a stage must be an nn.Sequential or nn.ModuleList of blocks"
        )
    return [f"{stage}.{child}" for child in container._modules]


def _with_rest(model: nn.Module, steps: list[Step]) -> list[Step]:
    """The steps of `model`, the last of which owns what none of them uses, so that all of it is tied."""
    used = tuple(path for step in steps for path in step.paths)
    names = [name for name, _ in [*model.named_parameters(), *model.named_buffers()]]
    rest = tuple(name for name in names if not any(f"{name}.".startswith(f"{path}.") for path in used))
    return [*steps[:-1], replace(steps[-1], owns=steps[-1].owns + rest)]


def _on_meta(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty


def _text(shape: Size | None) -> str:
    return "unknown" if shape is None else "x".join(str(size) for size in shape[1:])
