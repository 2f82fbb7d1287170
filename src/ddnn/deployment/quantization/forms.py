"""The nets in all their forms: the choice is written to files, and all are measured."""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from ddnn.deployment.graphs import describe
from ddnn.deployment.quantization.images import Labelled
from ddnn.deployment.quantization.report import CHOSEN, FLOAT, FORMS, INT8, Form, Weights
from ddnn.deployment.quantization.trials import Trials, accuracies, caller
from ddnn.deployment.weight_file import SMALLEST, WeightFile
from ddnn.formats.staging import write_text
from ddnn_runtime.latency import interleaved_for, latencies
from ddnn_runtime.manifest import MANIFEST, WEIGHTS, File, Manifest
from ddnn_runtime.sessions import open_session

SECONDS = 3.0
"""For the latency of a net in all its forms."""


def write_graphs(trials: Trials, stage: Path, int8: Collection[str]) -> Weights:
    """Write the graph of every net with these blocks in int8, and one file for the weights of all.

    Args:
        trials: the nets; the full net comes last.
        stage: the folder.
        int8: blocks.
    """
    with WeightFile(stage / WEIGHTS) as weights:
        for name, net in reversed(trials.nets.items()):
            model = ir.from_proto(net.quantized(int8))
            describe(model, {**{item.key: item.value for item in net.graph.metadata_props}, "precision": "int8"})
            weights.write(model, f"{name}.onnx")
    full = _stored(list(trials.nets.values())[-1].quantized(int8))
    for name in trials.nets:
        onnx.checker.check_model(str(stage / f"{name}.onnx"))
    graphs = sum((stage / f"{name}.onnx").stat().st_size for name in trials.nets)
    return Weights((stage / WEIGHTS).stat().st_size, full, graphs)


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Args:
        nets: each net in each form, by name.
        images: how many images the accuracies are on.
    """

    nets: dict[str, dict[str, Form]]
    images: int


def measure(trials: Trials, stage: Path, int8: Collection[str], test: Iterable[Labelled]) -> Figures:
    """Accuracy, latency and size of every net as it was, with all blocks in int8, and as it was written.

    All nets see the test images in one pass, because large ones take longer to decode than to label.

    Args:
        trials: the nets.
        stage: the folder of the written graphs.
        int8: their blocks in int8.
        test: labelled images.
    """
    sessions, sizes = {}, {}
    for name, net in trials.nets.items():
        whole = net.quantized(net.blocks)
        sessions[name, FLOAT] = open_session(net.graph.SerializeToString(), trials.threads)
        sessions[name, INT8] = open_session(whole.SerializeToString(), trials.threads)
        sessions[name, CHOSEN] = open_session(str(stage / f"{name}.onnx"), trials.threads)
        graphs = {FLOAT: net.graph, INT8: whole, CHOSEN: net.quantized(int8)}
        sizes |= {(name, form): sum(_sizes(graph)) for form, graph in graphs.items()}
    right, images = accuracies(sessions, test)
    nets = {}
    for name in trials.nets:
        calls = {form: caller(sessions[name, form], trials.example) for form in FORMS}
        times = latencies(interleaved_for(calls, SECONDS), FLOAT)
        nets[name] = {
            form: Form(right[name, form], times[form].median_ms, times[form].ratio, sizes[name, form]) for form in FORMS
        }
    return Figures(nets, images)


def write_manifest(export: Manifest, stage: Path, figures: Figures) -> None:
    """Write `export.json`: that of the float export, with the files and the accuracies of this one.

    It has no cascade: thresholds were calibrated for the float nets, and graphs are of whole nets.
    """
    nets = {
        name: replace(net, graph=File.of(stage, f"{name}.onnx"), accuracy=figures.nets[name][CHOSEN].accuracy)
        for name, net in export.nets.items()
    }
    manifest = replace(
        export,
        nets=nets,
        precision="int8",
        weights=File.of(stage, WEIGHTS),
        sharing_pays=False,
        pieces=(),
        cascade=None,
    )
    write_text(stage / MANIFEST, manifest.to_json())


def _stored(graph: onnx.ModelProto) -> int:
    """Bytes of the constants of a graph that go into a weight file, equal ones counted once."""
    tensors = (ir.from_proto(tensor) for tensor in graph.graph.initializer)
    return sum({hash(tensor.tobytes()): tensor.nbytes for tensor in tensors if tensor.nbytes >= SMALLEST}.values())


def _sizes(graph: onnx.ModelProto) -> Iterator[int]:
    """Bytes of each constant of a graph."""
    for tensor in graph.graph.initializer:
        yield ir.from_proto(tensor).nbytes
