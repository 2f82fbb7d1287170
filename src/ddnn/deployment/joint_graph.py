"""All nets of a network as one graph, from which each net, and each piece between two places where nets part, is cut.

Exporting them together takes one trace, in which what nets have in common stands once; exporting one by one takes as
many traces as there are nets and pieces, each with a start-up of seconds.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree

from ddnn.deployment.graphs import OPSET, make_graph
from ddnn.families.modes import in_mode
from ddnn.measuring.macs import macs
from ddnn.network import DepthDynamicNetwork
from ddnn.network.segments import Segment, SegmentModule
from ddnn_runtime.manifest import INPUT, OUTPUT

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class GraphPiece:
    """A segment of a network in the joint graph.

    Args:
        segment: which.
        inputs: names of the values that go in.
        outputs: names of those that it adds; for a net's last piece, its logits.
        macs: multiply-accumulates for one image.
    """

    segment: Segment
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    macs: int


class JointGraph:
    """The graph of all nets.

    Args:
        network: on the CPU.
        images: (batch, channels, height, width), two or more.
        opset: of ONNX's operators.

    Raises:
        NotExportable: if torch or ONNX cannot express one of the nets.
    """

    def __init__(self, network: DepthDynamicNetwork, images: Tensor, opset: int = OPSET) -> None:
        self._network = network
        self.pieces: tuple[GraphPiece, ...] = tuple(_pieces(network, images))
        self._names = [name for piece in self.pieces for name in piece.outputs]
        self._model = make_graph(
            _AllSegments(network), [images], [INPUT], self._names, " and ".join(network.names), opset
        )
        self._outputs = dict(zip(self._names, self._model.graph.outputs, strict=True))

    def net(self, name: str) -> "ir.Model":
        """The graph of one net: images in, logits out, its weights under their stock names."""
        return self._cut(name, [INPUT], [_logits(name)], name)

    def piece(self, piece: GraphPiece) -> "ir.Model":
        """The graph of a piece. Where it needs the size of the batch, it may take the images too."""
        title = f"piece {piece.segment.index} of {', '.join(piece.segment.nets)}"
        return self._cut(piece.segment.owner, [*piece.inputs, INPUT], piece.outputs, title)

    def _cut(self, owner: str, inputs: Iterable[str], outputs: Sequence[str], title: str) -> "ir.Model":
        import onnx_ir as ir
        from onnx_ir.passes import common

        start = {INPUT: self._model.graph.inputs[0], **self._outputs}
        cut = ir.convenience.extract(
            self._model.graph,
            [start[name] for name in dict.fromkeys(inputs)],
            [self._outputs[name] for name in outputs],
        )
        model = ir.Model(cut, ir_version=self._model.ir_version, functions=[])
        for value in [value for value in cut.inputs if not value.uses()]:
            cut.inputs.remove(value)
        cut.name = title
        if outputs == [_logits(owner)]:
            cut.outputs[0].name = OUTPUT
        _name_weights(cut, self._network[owner])
        common.RemoveUnusedNodesPass()(model)
        return model


class _AllSegments(nn.Module):
    """Every net at once: the value after each segment, logits among them."""

    def __init__(self, network: DepthDynamicNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> list[Tensor]:
        """All values, in the order of the segments, none twice."""
        return [tensor for _, _, added in _flow(self.network, images) for tensor in added]


@torch.no_grad()
def _pieces(network: DepthDynamicNetwork, images: Tensor) -> Iterator[GraphPiece]:
    counts: list[int] = []
    names: dict[int, str] = {id(images): INPUT}
    alive: list[Tensor] = []  # an id is one tensor's for as long as that lives
    with in_mode(network, training=False):
        for segment, taken, added in _flow(network, images, counts.append):
            if segment.leaf is None:
                names |= {id(tensor): f"value_{segment.index}_{number}" for number, tensor in enumerate(added)}
            else:
                names[id(added[0])] = _logits(segment.leaf)
            alive += added
            inputs, outputs = (tuple(names[id(tensor)] for tensor in tensors) for tensors in (taken, added))
            yield GraphPiece(segment, inputs, outputs, counts[-1] // len(images))


def _flow(
    network: DepthDynamicNetwork, images: Tensor, count: Callable[[int], None] | None = None
) -> Iterator[tuple[Segment, list[Tensor], list[Tensor]]]:
    """Each segment with the tensors that go in, and those that it adds.

    What goes through unchanged, as the features of a dense block do, is not added again.
    """
    values: dict[int | None, Any] = {None: images}
    seen = {id(images)}
    for segment in network.segments():
        net, value = network[segment.owner], values[segment.source]
        if count is not None:
            count(macs(SegmentModule(segment, net), value))
        values[segment.index] = segment.run(net, value)
        leaves = {id(tensor): tensor for tensor in _pytree.tree_leaves(values[segment.index])}
        added = [tensor for key, tensor in leaves.items() if key not in seen]
        seen |= leaves.keys()
        yield segment, _pytree.tree_leaves(value), added


def _logits(name: str) -> str:
    return f"{OUTPUT}_{name}"


def _name_weights(graph: "ir.Graph", net: nn.Module) -> None:
    """Give the weights of a graph the names that they have in the stock model."""
    stock = {_key(tensor): name for name, tensor in _tensors(net).items()}
    for value in list(graph.initializers.values()):
        raw = getattr(value.const_value, "raw", None)
        if isinstance(raw, Tensor) and (name := stock.get(_key(raw))) is not None and name != value.name:
            if name in graph.initializers:  # two constants of one name: this one keeps what it has
                continue
            value.name = name


def _tensors(net: nn.Module) -> Mapping[str, Tensor]:
    return net.state_dict(keep_vars=True)


def _key(tensor: Tensor) -> tuple[int, tuple[int, ...]]:
    return tensor.data_ptr(), tuple(tensor.shape)
