"""Which nodes of a graph belong to which block: to which step of the family, such as the stem, or layer1.0.

Steps have the same keys in all nets, so a block is quantised in all nets that have it, or in none: its weights, which
these nets share, are then stored once, in one form.
"""

from collections.abc import Sequence

import onnx_ir as ir

from ddnn.families import Step

WHOLE = "whole net"
"""The one block of a net whose forward pass could not be split into steps."""


def blocks_of(model: ir.Model, steps: Sequence[Step] | None) -> dict[str, str]:
    """The block of each node, by the node's name.

    A node belongs to the last step among those of its weights and of the nodes that it takes values from; so what has
    no weights, such as an activation, belongs to the step that it follows.

    Args:
        model: a graph whose weights have the names of the module's parameters.
        steps: of the net; None means that there are none.
    """
    if not steps:
        return {str(node.name): WHOLE for node in model.graph}
    places: dict[ir.Value, int] = {
        value: _step_of(name, steps) for name, value in model.graph.initializers.items() if value.name is not None
    }
    blocks = {}
    for node in model.graph:
        place = max((places.get(value, 0) for value in node.inputs if value is not None), default=0)
        places.update(dict.fromkeys(node.outputs, place))
        blocks[str(node.name)] = steps[place].key
    return blocks


def _step_of(parameter: str, steps: Sequence[Step]) -> int:
    for place, step in enumerate(steps):
        if any(parameter == path or parameter.startswith(f"{path}.") for path in step.paths):
            return place
    return 0  # a constant, such as a shape: it says nothing
