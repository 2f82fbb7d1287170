"""What goes into a graph of an export and what comes out of it, so that another graph in its place is refused.

A graph that was put in another's place, with its checksum, would answer all the same, or make onnxruntime stumble in
the middle of a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddnn_runtime.errors import ModelFileError
from ddnn_runtime.manifest import INPUT, OUTPUT, Manifest
from ddnn_runtime.untrusted import shown

_TYPE = "tensor(float)"


@dataclass(frozen=True)
class Interface:
    """The interface of one graph.

    Args:
        inputs: their names.
        outputs: likewise.
        shapes: of those whose shape is known, without the batch.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: dict[str, tuple[int, ...]]

    def check(self, session: Any, path: Path) -> None:
        """Raise a ModelFileError unless an `onnxruntime.InferenceSession` has this interface."""
        for wanted, found in ((self.inputs, session.get_inputs()), (self.outputs, session.get_outputs())):
            names = tuple(value.name for value in found)
            if names != wanted or any(value.type != _TYPE for value in found):
                raise ModelFileError(
                    f"{path} is another graph: it has {_listed(names)} where {_listed(wanted)} should be"
                )
            for value in found:
                shape = self.shapes.get(value.name)
                if shape is not None and not _fits(value.shape, shape):
                    raise ModelFileError(
                        f"{path} is another graph: {shown(value.name)} is {value.shape}, not (batch, {shape})"
                    )


def interfaces(manifest: Manifest) -> dict[str, Interface]:
    """The interface of each file of an export for onnxruntime."""
    shapes = {INPUT: manifest.input_shape, OUTPUT: (manifest.num_classes,)}
    nets = {net.graph.file: Interface((INPUT,), (OUTPUT,), shapes) for net in manifest.nets.values()}
    pieces = {
        piece.graph.file: Interface(
            piece.inputs,
            piece.outputs,
            {INPUT: manifest.input_shape} | ({} if piece.leaf is None else {piece.outputs[0]: (manifest.num_classes,)}),
        )
        for piece in manifest.pieces
    }
    return pieces | nets


def _fits(found: Sequence[Any], wanted: tuple[int, ...]) -> bool:
    """Whether a shape is (batch, *wanted), with a free batch; sizes that the graph leaves open are no contradiction."""
    return (
        len(found) == 1 + len(wanted)
        and not isinstance(found[0], int)
        and all(not isinstance(size, int) or size == other for size, other in zip(found[1:], wanted, strict=True))
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(shown, names)) or "nothing"
