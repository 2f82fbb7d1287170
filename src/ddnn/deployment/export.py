"""A network as files that run without this library: a graph for each net, one weight file for all, one manifest.

An export is checked before it appears: every graph is valid, and every net gives what PyTorch gives.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ddnn.deployment.agreement import check_onnx, check_torch
from ddnn.deployment.graphs import OPSET, NotExportable, describe, require_onnx, shares_cheaply
from ddnn.deployment.half import to_half
from ddnn.deployment.joint_graph import GraphPiece, JointGraph
from ddnn.deployment.weight_file import WeightFile, WriteGraph, graphs_with_weights
from ddnn.errors import first_line
from ddnn.families.modes import in_mode
from ddnn.formats.staging import staged, write_bytes, write_text
from ddnn.measuring.macs import cost
from ddnn.network import DepthDynamicNetwork
from ddnn.reporting.progress import Progress
from ddnn_runtime.cascade_spec import CascadeSpec
from ddnn_runtime.manifest import INPUT, MANIFEST, OUTPUT, WEIGHTS, File, Manifest, Net, Piece

if TYPE_CHECKING:
    import onnx_ir as ir

WORTH_SHARING = 32_000_000
"""Bytes of weights below which a copy for each open net costs less than the time that sharing takes."""


@dataclass(frozen=True)
class Export:
    """What was written.

    Args:
        manifest: of the export.
        difference: the largest difference of a logit to PyTorch's, over all nets and images.
    """

    manifest: Manifest
    difference: float


def export_onnx(
    network: DepthDynamicNetwork,
    directory: str | Path,
    images: Tensor,
    *,
    accuracies: Mapping[str, float] | None = None,
    cascade: CascadeSpec | None = None,
    pieces: bool = True,
    one_file: bool = False,
    opset: int = OPSET,
    precision: Literal["fp32", "fp16"] = "fp32",
    progress: Progress = lambda _: None,
) -> Export:
    """Write every net as an ONNX graph; all graphs point into one weight file.

    Args:
        network: on the CPU.
        directory: a folder that does not exist; it appears when all is written and checked.
        images: (batch, channels, height, width), two or more, on which graphs are compared with PyTorch. Their size is
            that of the graphs; the batch is free.
        accuracies: of the nets, in [0, 1], for the manifest.
        cascade: the calibrated cascade, for the manifest.
        pieces: write the graphs for cascades too, where nets have something in common.
        one_file: each graph holds its weights itself, and there is no weight file.
        opset: of ONNX's operators, 18 or later.
        precision: of weights and of what is between layers; images and logits are float32 all the same.
        progress: is told what is being done.

    Raises:
        NotExportable: if a net cannot be expressed in ONNX.
        DDNNError: if the folder exists, onnx is not installed, or a graph does not agree with PyTorch.

    Example:
        >>> import ddnn, tempfile, torch
        >>> from ddnn.deployment import Runtime, export_onnx
        >>> net = ddnn.build("resnet20", subnets=["resnet8"], num_classes=10)
        >>> folder = tempfile.mkdtemp()
        >>> _ = export_onnx(net, f"{folder}/export", torch.randn(2, 3, 32, 32), pieces=False)
        >>> Runtime(f"{folder}/export")(torch.randn(5, 3, 32, 32), "resnet8").shape
        (5, 10)
    """
    require_onnx()
    images = _two_or_more(images)
    with staged(Path(directory)) as stage:
        manifest = replace(
            _facts(network, images, accuracies or {}, cascade, kind="onnx"), opset=opset, precision=precision
        )
        progress(f"exporting {', '.join(network.names)}")
        joint = JointGraph(network, images, opset)
        if one_file:
            written = _write_graphs(joint, stage, graphs_with_weights(stage), manifest, pieces)
            manifest = replace(written, sharing_pays=False)
        else:
            with WeightFile(stage / WEIGHTS) as weights:
                manifest = _write_graphs(joint, stage, weights.write, manifest, pieces)
            manifest = replace(manifest, weights=File.of(stage, WEIGHTS))
        progress("comparing with PyTorch")
        difference = check_onnx(network, stage, manifest, images)
        write_text(stage / MANIFEST, manifest.to_json())
    return Export(manifest, difference)


def export_torch(
    network: DepthDynamicNetwork,
    directory: str | Path,
    images: Tensor,
    *,
    accuracies: Mapping[str, float] | None = None,
    cascade: CascadeSpec | None = None,
    progress: Progress = lambda _: None,
) -> Export:
    """Write every net as a `torch.export` program, which `torch.export.load` reads; see `export_onnx`.

    Each program has weights of its own.
    """
    images = _two_or_more(images)
    with staged(Path(directory)) as stage:
        manifest = _facts(network, images, accuracies or {}, cascade, kind="torch")
        nets = {}
        for name, net in manifest.nets.items():
            progress(f"exporting {name}")
            _save_program(network, name, images, stage / f"{name}.pt2", _metadata(manifest, name))
            nets[name] = replace(net, graph=File.of(stage, f"{name}.pt2"))
        manifest = replace(manifest, nets=nets)
        progress("comparing with PyTorch")
        difference = check_torch(network, lambda name: torch.export.load(stage / f"{name}.pt2").module(), images)
        write_text(stage / MANIFEST, manifest.to_json())
    return Export(manifest, difference)


def _facts(
    network: DepthDynamicNetwork,
    images: Tensor,
    accuracies: Mapping[str, float],
    cascade: CascadeSpec | None,
    kind: Any,
) -> Manifest:
    """The manifest, before any file is written."""
    _, channels, height, width = images.shape
    shape = (channels, height, width)
    nets = {}
    for name in network.names:
        own = cost(network.extract(name), shape)  # whose parameters are its own, where a sub-net's are parts
        accuracy = accuracies.get(name)
        nets[name] = Net(File("", 0, ""), network.depths[name], own.parameters, own.macs, accuracy)
    return Manifest(
        full=network.full,
        nets=nets,
        num_classes=network.num_classes,
        input_shape=shape,
        data=network.data_spec,
        kind=kind,
        cascade=cascade,
        made_with={"ddnn": version("ddnn"), "torch": torch.__version__},
    )


def _write_graphs(joint: JointGraph, stage: Path, write: WriteGraph, manifest: Manifest, pieces: bool) -> Manifest:
    nets, cheap = {}, True
    for name in (manifest.full, *manifest.names[:-1]):  # the full net's weights first, in their own order
        graph = joint.net(name)
        cheap = cheap and shares_cheaply(graph)
        file = _write(graph, stage, f"{name}.onnx", write, _metadata(manifest, name), manifest.precision)
        nets[name] = replace(manifest.nets[name], graph=file)
    written = tuple(_write_piece(joint, piece, stage, write, manifest) for piece in joint.pieces) if pieces else ()
    return replace(
        manifest,
        nets={name: nets[name] for name in manifest.names},
        pieces=written if len(written) > len(nets) else (),  # else they are the nets
        sharing_pays=cheap and 4 * nets[manifest.full].parameters >= WORTH_SHARING,
    )


def _write_piece(joint: JointGraph, piece: GraphPiece, stage: Path, write: WriteGraph, manifest: Manifest) -> Piece:
    graph, segment = joint.piece(piece), piece.segment
    inputs = tuple(str(value.name) for value in graph.graph.inputs)
    outputs = tuple(str(value.name) for value in graph.graph.outputs)
    facts = {"ddnn": version("ddnn"), "net": str(graph.graph.name)}
    name = f"piece.{segment.index}.onnx"  # no net can have this name
    file = _write(graph, stage, name, write, facts, manifest.precision)
    return Piece(file, segment.source, inputs, outputs, segment.nets, segment.leaf, piece.macs)


def _write(
    graph: "ir.Model", stage: Path, name: str, write: WriteGraph, facts: Mapping[str, str], precision: str
) -> File:
    if precision == "fp16":
        graph, facts = to_half(graph), {**facts, "precision": precision}
    describe(graph, facts)
    write(graph, name)
    return File.of(stage, name)


def _save_program(
    network: DepthDynamicNetwork, name: str, images: Tensor, path: Path, metadata: Mapping[str, str]
) -> None:
    model = network.extract(name)
    try:
        with in_mode(model, training=False), torch.no_grad():
            program = torch.export.export(model, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},))
    except Exception as error:  # whatever torch raises about code that it cannot follow
        raise NotExportable(f"{name} cannot be exported by torch.export: {first_line(error)}") from None
    content = BytesIO()  # written to the disk by torch itself, it would end the process where the disk is full
    torch.export.save(program, content, extra_files={"ddnn.json": json.dumps(metadata)})
    write_bytes(path, content.getbuffer())


def _metadata(manifest: Manifest, name: str) -> dict[str, str]:
    """What a consumer of one graph needs to know, as texts."""
    net = manifest.nets[name]
    facts = {
        "ddnn": version("ddnn"),
        "net": name,
        "full": manifest.full,
        "depth": json.dumps(net.depth),
        "input": INPUT,
        "input_shape": json.dumps(["batch", *manifest.input_shape]),
        "output": OUTPUT,
    }
    if manifest.data is not None:
        facts |= {key: json.dumps(value) for key, value in asdict(manifest.data).items()}
        facts["preparation"] = (
            "decode to RGB (or grey, if channels is 1), resize with antialiased bilinear interpolation so that the "
            "image just covers size (by 256/224 more if a side of size is above 64 pixels), cut out the centre, "
            "divide by 255, subtract mean, divide by std; channels first"
        )
    return facts


def _two_or_more(images: Tensor) -> Tensor:
    """Tracing takes a batch of one for a constant."""
    return torch.cat([images, images]) if len(images) == 1 else images
