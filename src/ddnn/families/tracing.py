"""Describe a model that we did not write as steps, by following its forward pass with torch.fx.

Every block becomes a step of its own, and so does what comes before, between and after the blocks. That needs a
forward pass without data-dependent branches, in which nothing but the block's output goes past a block. Where that
fails, `NotSteps` says why; such a model still works, its nets just run one by one.
"""

import warnings
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from ddnn.families.family import Step
from ddnn.modes import in_mode


class NotSteps(Exception):
    """The reason why a model cannot be described as steps."""


@dataclass(frozen=True)
class Value:
    """Stands for the result of an earlier instruction, by its number; -1 is the input."""

    index: int


@dataclass(frozen=True)
class Instruction:
    """One operation of a traced forward pass: fx's kinds `call_module`, `call_function`, `call_method`, `get_attr`."""

    kind: str
    target: Any
    args: Any
    kwargs: Any

    def run(self, model: nn.Module, values: list[Any]) -> Any:
        """The result, given the results so far and, last, the input."""
        args, kwargs = _fill(self.args, values), _fill(self.kwargs, values)
        if self.kind == "call_module":
            return model.get_submodule(self.target)(*args, **kwargs)
        if self.kind == "call_function":
            return self.target(*args, **kwargs)
        if self.kind == "call_method":
            return getattr(args[0], self.target)(*args[1:], **kwargs)
        value: Any = model
        for name in self.target.split("."):
            value = getattr(value, name)
        return value


@dataclass(frozen=True)
class Segment:
    """What a model does between two blocks, as a part of a `Step`."""

    instructions: tuple[Instruction, ...]

    def __call__(self, model: nn.Module, value: Any) -> Any:
        """The value before the next block, given the value after the last."""
        values = [value]  # the input last, so that Value(-1) finds it
        for number, instruction in enumerate(self.instructions):
            values.insert(number, instruction.run(model, values))
        return values[len(self.instructions) - 1] if self.instructions else value

    @property
    def paths(self) -> tuple[str, ...]:
        """Modules, parameters and buffers that it uses."""
        found = [i.target for i in self.instructions if i.kind in ("call_module", "get_attr")]
        return tuple(dict.fromkeys(found))

    def describe(self) -> str:
        """The same for two segments that compute the same thing."""
        return ";".join(
            f"{i.kind}:{getattr(i.target, '__name__', i.target)}{i.args}{i.kwargs}" for i in self.instructions
        )


def trace_steps(model: nn.Module, blocks: list[str], stage_ends: set[str]) -> list[Step]:
    """The steps of `model`.

    Args:
        model: any model; it is not run.
        blocks: paths of its blocks, in the order in which they run.
        stage_ends: those blocks that end a stage.

    Raises:
        NotSteps: if it cannot be described so.
    """
    nodes = _trace(model, blocks, training=True)
    if _signature(nodes) != _signature(_trace(model, blocks, training=False)):
        raise NotSteps("its forward pass takes another way in training than in evaluation")
    found = [str(node.target) for node in nodes if node.op == "call_module" and node.target in blocks]
    if found != blocks:
        raise NotSteps(f"its forward pass calls the blocks {found}, not each of {blocks} once and in order")
    _refuse_in_place(model, nodes, blocks)
    return _cut(nodes, blocks, stage_ends)


class _BlockTracer(fx.Tracer):
    """Follows what holds a block, and takes everything else as one operation."""

    def __init__(self, blocks: list[str]) -> None:
        super().__init__()
        self._blocks = blocks

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether `m` holds no block."""
        return not any(block.startswith(f"{module_qualified_name}.") for block in self._blocks)


def _trace(model: nn.Module, blocks: list[str], training: bool) -> list[fx.Node]:
    with in_mode(model, training):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(_BlockTracer(blocks).trace(model).nodes)
        except Exception as error:  # whatever the model's own code raises when it is given a proxy
            raise NotSteps(f"torch.fx cannot follow its forward pass: {str(error).splitlines()[0]}") from None


def _refuse_in_place(model: nn.Module, nodes: list[fx.Node], blocks: list[str]) -> None:
    """What follows a block must not write into the block's output, which several nets may go on from."""
    for node in nodes:
        sources = [source for source in node.all_input_nodes if source.op == "call_module" and source.target in blocks]
        module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        name = getattr(node.target, "__name__", str(node.target))
        writes = node.kwargs.get("inplace") or getattr(module, "inplace", False) or name.strip("_") + "_" == name
        if sources and writes and node.op != "output":
            raise NotSteps(f"{node.name} writes into the output of {sources[0].target}")


def _signature(nodes: list[fx.Node]) -> list[str]:
    return [f"{node.op} {node.target} {node.args} {node.kwargs}" for node in nodes]


def _cut(nodes: list[fx.Node], blocks: list[str], stage_ends: set[str]) -> list[Step]:
    inputs = [node for node in nodes if node.op == "placeholder"]
    output = next(node for node in nodes if node.op == "output")
    if len([node for node in inputs if node.users]) != 1:
        raise NotSteps("its forward pass takes more than one input")
    steps: list[Step] = []
    source, pending = inputs[0], []
    for node in nodes:
        if node.op in ("placeholder", "output"):
            continue
        if node.op == "call_module" and node.target in blocks:
            if node.args != (pending[-1] if pending else source,) or node.kwargs:
                raise NotSteps(f"{node.target} takes more than the value before it")
            path = str(node.target)
            segment = _segment(pending, source)
            steps.append(_step(path, segment, (path,), path in stage_ends))
            source, pending = node, []
        else:
            pending.append(node)
    if output.args[0] is not pending[-1]:
        raise NotSteps("its forward pass returns something other than the last value")
    return [*steps, _step("head", _segment(pending, source), (), False)]


def _step(name: str, segment: Segment, block: tuple[str, ...], ends_stage: bool) -> Step:
    parts = ((segment,) if segment.instructions else ()) + block
    return Step(f"{segment.describe()}>{name}", parts, owns=segment.paths, ends_stage=ends_stage)


def _segment(nodes: list[fx.Node], source: fx.Node) -> Segment:
    numbers = {source: -1, **{node: number for number, node in enumerate(nodes)}}

    def number(node: fx.Node) -> Any:
        if node not in numbers:
            raise NotSteps(f"the value of {node.name} is used past a block")
        return Value(numbers[node])

    return Segment(
        tuple(
            Instruction(node.op, node.target, fx.map_arg(node.args, number), fx.map_arg(node.kwargs, number))
            for node in nodes
        )
    )


def _fill(argument: Any, values: list[Any]) -> Any:
    if isinstance(argument, Value):
        return values[argument.index]
    if isinstance(argument, list | tuple):
        return type(argument)(_fill(item, values) for item in argument)
    if isinstance(argument, dict):
        return {key: _fill(item, values) for key, item in argument.items()}
    if isinstance(argument, slice):
        return slice(_fill(argument.start, values), _fill(argument.stop, values), _fill(argument.step, values))
    return argument
