"""One file for the weights of all graphs of an export, each stored once.

Weights are told apart by their content, not by their names. So it does not matter how a net came by them: what two
nets share as one parameter, what happens to be equal, and codes of quantised weights are all stored once.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from ddnn.errors import DDNNError
from ddnn.formats.staging import disk_errors

if TYPE_CHECKING:
    import onnx_ir as ir

SMALLEST = 1024
"""Bytes below which a tensor stays in the graph: onnx's shape inference cannot read what is outside."""
ALIGNMENT = 64
"""Of each tensor in the file, in bytes: that of a cache line, and of the widest vector registers."""


LARGEST_GRAPH = 2**31 - 2**24
"""Bytes of weights that a graph can hold itself: a protobuf ends below 2 GiB."""

WriteGraph = Callable[["ir.Model", str], None]
"""Writes a graph under a name into the folder of an export."""


def graphs_with_weights(folder: Path) -> WriteGraph:
    """Writes graphs that hold their weights themselves, for what reads one file only.

    The writer raises a DDNNError for a graph that is too large for that.
    """

    def write(model: "ir.Model", name: str) -> None:
        import onnx_ir as ir

        held = sum(value.const_value.nbytes for value in model.graph.initializers.values() if value.const_value)
        if held > LARGEST_GRAPH:
            raise DDNNError(
                f"{name} would have {held / 2**30:.1f} GiB of weights, and a file of ONNX holds less than 2: export "
                "without one_file"
            )
        with disk_errors(folder / name):
            ir.save(model, folder / name)

    return write


class WeightFile:
    """A file of tensors, which graphs point into.

    Use it as a context manager; the file is written as tensors come.

    Args:
        path: of the file; graphs that point into it lie in its folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[bytes, int] = {}
        self._stream = path.open("wb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def take(self, model: "ir.Model") -> "ir.Model":
        """Move the weights of a graph into the file; the graph keeps where they are.

        Args:
            model: a graph that will lie in the file's folder, or onnx refuses it; it is changed, and returned.
        """
        import onnx_ir as ir

        for value in model.graph.initializers.values():
            tensor = value.const_value
            if tensor is None or tensor.nbytes < SMALLEST:
                continue
            content = tensor.tobytes()
            value.const_value = ir.ExternalTensor(
                self.path.name,
                self._place(content),
                len(content),
                tensor.dtype,
                shape=ir.Shape(tensor.shape.numpy()),
                name=tensor.name or str(value.name),
                base_dir=self.path.parent,
            )
        return model

    def write(self, model: "ir.Model", name: str) -> None:
        """Write a graph into the file's folder, and its weights into the file; see `take`."""
        import onnx_ir as ir

        path = self.path.with_name(name)
        with disk_errors(path):
            ir.save(self.take(model), path)

    def _place(self, content: bytes) -> int:
        """Where these bytes are in the file; they are written if they are new."""
        digest = hashlib.sha256(content).digest()
        if digest not in self._places:
            self._stream.write(b"\0" * (-self._stream.tell() % ALIGNMENT))
            self._places[digest] = self._stream.tell()
            self._stream.write(content)
        return self._places[digest]
