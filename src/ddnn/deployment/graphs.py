"""A net, or a piece of one, as an ONNX graph that still has the stock names of its weights.

Torch's exporter does the work. What is special here is what is left undone: batch normalisation is not folded into
the weights before it, and nothing is computed from weights in advance, because then no two nets would have a weight in
common. Whoever runs the graph does both when it is opened, as onnxruntime does.
"""

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from ddnn.errors import DDNNError, first_line
from ddnn.families.modes import in_mode

if TYPE_CHECKING:
    import onnx_ir as ir

OPSET = 18
"""Of the operators: torch writes its graphs in it, and every onnxruntime since 1.14 (2023) reads it. Torch converts to
later ones, not to earlier ones."""


class NotExportable(DDNNError):
    """A net that torch.export or ONNX cannot express; the message says why."""


def require_onnx() -> None:
    """Raise a DDNNError unless what exports to ONNX is installed."""
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise DDNNError(f"{error.name} is not installed, which ONNX needs: pip install 'ddnn[onnx]'") from None


def make_graph(
    model: nn.Module,
    values: Sequence[torch.Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    title: str,
    opset: int = OPSET,
) -> "ir.Model":
    """The graph of a module in evaluation mode; the first size of all that goes in is free.

    Args:
        model: takes `values`.
        values: what goes in, of a batch of two or more.
        inputs: names of what goes in.
        outputs: names of what comes out.
        title: what an error calls the module.
        opset: of the operators, from `OPSET` on.

    Raises:
        NotExportable: if torch or ONNX cannot express it.
    """
    try:
        with in_mode(model, training=False), _quiet(), torch.no_grad():
            program = torch.onnx.export(
                model,
                tuple(values),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=({0: torch.export.Dim("batch")},) * len(values),
                opset_version=opset,
                dynamo=True,
                optimize=False,
                verbose=False,
            )
    except Exception as error:  # whatever torch raises about code that it cannot follow
        raise NotExportable(f"{title} cannot be exported to ONNX: {first_line(_innermost(error))}") from None
    assert program is not None
    if program.model.opset_imports[""] != opset:
        raise NotExportable(
            f"{title} cannot be exported in opset {opset}: torch wrote {program.model.opset_imports['']}"
        )
    if any(value.shape is not None and isinstance(value.shape[0], int) for value in program.model.graph.inputs):
        raise NotExportable(
            f"{title} cannot be exported to ONNX with a free batch size: the model's code makes {len(values[0])}, the "
            f"size of the example, a constant; use x.shape[0] in place of len(x), and no int() of it"
        )
    return _tidy(program.model)


def shares_cheaply(model: "ir.Model") -> bool:
    """Whether onnxruntime is about as fast on this graph with weights as they are in the file.

    That is so for plain convolutions. Grouped ones, and matrix products, gain much from weights in another order
    (docs/deployment.md has figures).
    """
    groups = (node.attributes.get_int("group", 1) for node in model.graph if node.op_type == "Conv")
    return all(group == 1 for group in groups) and not any(node.op_type == "MatMul" for node in model.graph)


def describe(model: "ir.Model", facts: Mapping[str, str]) -> None:
    """Put facts about a graph into its metadata, and leave out what torch notes for debugging, which names paths of
    the machine that exported it."""
    for node in model.graph.all_nodes():
        node.metadata_props.clear()
    for value in _values(model):
        value.metadata_props.clear()
    model.graph.metadata_props.clear()
    model.metadata_props.clear()
    model.metadata_props.update(facts)
    model.producer_name, model.producer_version = "ddnn", facts["ddnn"]
    model.graph.name = facts["net"]


def _values(model: "ir.Model") -> Iterator["ir.Value"]:
    yield from model.graph.inputs
    yield from model.graph.initializers.values()
    for node in model.graph.all_nodes():
        yield from node.outputs


def _tidy(model: "ir.Model") -> "ir.Model":
    """Without what torch writes for biases that are not there, and without constants that follow from shapes."""
    from onnx_ir.passes import common
    from onnxscript import optimizer, rewriter
    from onnxscript.rewriter.rules import common as rules

    weights = set(model.graph.initializers)

    def should_fold(node: "ir.Node") -> bool | None:
        return False if any(value is not None and value.name in weights for value in node.inputs) else None

    common.InlinePass()(model)
    optimizer.fold_constants(model, onnx_shape_inference=True, should_fold=should_fold)
    rewriter.rewrite(model, [rules.remove_optional_bias_from_conv_rule, rules.no_op_expand_rule, rules.no_op_cast_rule])
    common.RemoveUnusedNodesPass()(model)
    common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0)(model)
    common.DeduplicateInitializersPass()(model)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's remarks for those who write exporters."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _innermost(error: BaseException) -> BaseException:
    """What torch's exporter stumbled over; around it are its own accounts of where that was."""
    while error.__cause__ is not None:
        error = error.__cause__
    return error
