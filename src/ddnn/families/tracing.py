"""Describe a model that we did not write as steps, by following its forward pass with torch.fx.

Every block becomes a step, with what comes before it, and what comes after the last is one more. That needs a
forward pass without data-dependent branches, in which nothing but the block's output goes past a block. Where that
fails, `NotSteps` says why; such a model still works, its nets just run one by one.
"""

import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import fx, nn

from ddnn.errors import first_line
from ddnn.families.family import Step
from ddnn.families.modes import in_mode


class NotSteps(Exception):
    """The reason why a model cannot be described as steps."""


@dataclass(frozen=True)
class Value:
    """Stands for the result of an earlier instruction, by its number; -1 is the input."""

    index: int


@dataclass(frozen=True)
class Training:
    """Stands for whether the model is in training mode, as in `dropout(x, training=self.training)`."""


@dataclass(frozen=True)
class Instruction:
    """One operation of a traced forward pass: fx's kinds `call_module`, `call_function`, `call_method`, `get_attr`."""

    kind: str
    target: Any
    args: Any
    kwargs: Any

    def run(self, model: nn.Module, values: list[Any]) -> Any:
        """The result, given the results so far and, last, the input."""
        args, kwargs = (_fill(argument, values, model.training) for argument in (self.args, self.kwargs))
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
class Program:
    """What a model does after one block up to and with the next, as a part of a `Step`."""

    instructions: tuple[Instruction, ...]

    def __call__(self, model: nn.Module, value: Any) -> Any:
        """The value after the next block, given the value after the last."""
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
        """The same for two programs that compute the same thing."""
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
    _unite(nodes, _trace(model, blocks, training=False))
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

    def create_args_for_root(
        self, root_fn: Callable[..., Any], is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        """Whatever follows the images keeps its default, as in timm's `forward(x, attn_mask=None)`: a placeholder
        in its place would never be None."""
        function, arguments = super().create_args_for_root(root_fn, is_module, concrete_args)
        parameters = inspect.signature(root_fn).parameters.values()
        for number, parameter in list(enumerate(parameters))[2:]:
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is not parameter.empty:
                arguments[number] = parameter.default
        return function, arguments


def _trace(model: nn.Module, blocks: list[str], training: bool) -> list[fx.Node]:
    with in_mode(model, training):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return list(_BlockTracer(blocks).trace(model).nodes)
        except Exception as error:  # whatever the model's own code raises when it is given a proxy
            raise NotSteps(f"torch.fx cannot follow its forward pass: {first_line(error)}") from None


def _refuse_in_place(model: nn.Module, nodes: list[fx.Node], blocks: list[str]) -> None:
    """What follows a block must not write into the block's output, which several nets may go on from."""
    for node in nodes:
        sources = [source for source in node.all_input_nodes if source.op == "call_module" and source.target in blocks]
        module = model.get_submodule(str(node.target)) if node.op == "call_module" else None
        name = getattr(node.target, "__name__", str(node.target))
        writes = node.kwargs.get("inplace") or getattr(module, "inplace", False) or name.strip("_") + "_" == name
        if sources and writes and node.op != "output":
            raise NotSteps(f"{node.name} writes into the output of {sources[0].target}")


def _unite(nodes: list[fx.Node], in_evaluation: list[fx.Node]) -> None:
    """Put `Training` into `nodes` wherever they differ from those of the same model in evaluation in that alone."""
    if [(node.op, node.target) for node in nodes] != [(node.op, node.target) for node in in_evaluation]:
        raise NotSteps("its forward pass takes another way in training than in evaluation")
    for node, other in zip(nodes, in_evaluation, strict=True):
        node.args, node.kwargs = _united(node.args, other.args), _united(node.kwargs, other.kwargs)


def _united(argument: Any, other: Any) -> Any:
    if isinstance(argument, list | tuple) and len(argument) == len(other):
        return type(argument)(_united(one, two) for one, two in zip(argument, other, strict=True))
    if isinstance(argument, dict) and argument.keys() == other.keys():
        return {key: _united(item, other[key]) for key, item in argument.items()}
    if argument is True and other is False:
        return Training()
    if str(argument) != str(other):  # operations as well, which have the same names in both
        raise NotSteps(f"its forward pass uses {argument} in training and {other} in evaluation")
    return argument


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
            steps.append(_step(_program([*pending, node], source), node.target in stage_ends))
            source, pending = node, []
        else:
            pending.append(node)
    if output.args[0] is not (pending[-1] if pending else source):
        raise NotSteps("its forward pass returns something other than the last value")
    return [*steps, _step(_program(pending, source), ends_stage=False)]


def _step(program: Program, ends_stage: bool) -> Step:
    return Step(program.describe(), (program,), owns=program.paths, ends_stage=ends_stage)


def _program(nodes: list[fx.Node], source: fx.Node) -> Program:
    numbers = {source: -1, **{node: number for number, node in enumerate(nodes)}}

    def number(node: fx.Node) -> Any:
        if node not in numbers:
            raise NotSteps(f"the value of {node.name} is used past a block")
        return Value(numbers[node])

    return Program(
        tuple(
            Instruction(node.op, node.target, fx.map_arg(node.args, number), fx.map_arg(node.kwargs, number))
            for node in nodes
        )
    )


def _fill(argument: Any, values: list[Any], training: bool) -> Any:
    if isinstance(argument, Value):
        return values[argument.index]
    if isinstance(argument, Training):
        return training
    if isinstance(argument, list | tuple):
        return type(argument)(_fill(item, values, training) for item in argument)
    if isinstance(argument, dict):
        return {key: _fill(item, values, training) for key, item in argument.items()}
    if isinstance(argument, slice):
        return slice(*(_fill(item, values, training) for item in (argument.start, argument.stop, argument.step)))
    return argument
