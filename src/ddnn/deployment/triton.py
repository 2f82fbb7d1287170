"""A model repository for Triton, NVIDIA's inference server: each net of a network is a model of its own there.

Weights are copies, one in each graph. Triton opens a model in a folder of its own, and onnxruntime refuses weights that
lie outside of the graph's folder, links among them (since 1.24). A repository in an object store has no links at all.

A repository is an export too, with a manifest: `Runtime` opens it, and its checksums hold.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Literal

from torch import Tensor

from ddnn.deployment.export import Export, export_onnx
from ddnn.deployment.graphs import OPSET
from ddnn.deployment.weight_file import LARGEST_GRAPH
from ddnn.errors import DDNNError
from ddnn.formats.staging import staged, write_text
from ddnn.network import DepthDynamicNetwork
from ddnn.reporting.progress import Progress
from ddnn.reporting.tables import percent
from ddnn_runtime.cascade_spec import CascadeSpec
from ddnn_runtime.manifest import INPUT, MANIFEST, OUTPUT, Manifest

MODEL, CONFIG, LABELS, README = "1/model.onnx", "config.pbtxt", "labels.txt", "README.md"

_CONFIG = """\
# Instances, accelerators and delays of batches are yours to set: Triton's "Model Configuration" has all fields.
name: "{name}"
backend: "onnxruntime"
max_batch_size: {max_batch}
input [ {{ name: "{INPUT}" data_type: TYPE_FP32 dims: {shape} }} ]
output [ {{ name: "{OUTPUT}" data_type: TYPE_FP32 dims: [ {classes} ]{labels} }} ]
instance_group [ {{ kind: KIND_AUTO count: 1 }} ]
dynamic_batching {{
  # A request's own timeout is its deadline: what has waited for longer is refused, not answered late.
  default_queue_policy {{ timeout_action: REJECT allow_timeout_override: true }}
}}
model_warmup [ {{
  name: "ready after a real call"
  batch_size: 1
  inputs {{ key: "{INPUT}" value {{ data_type: TYPE_FP32 dims: {shape} zero_data: true }} }}
}} ]
"""

_README = """\
# {nets}: a model repository for Triton

    tritonserver --model-repository="$PWD"

Each net is a model with a copy of its weights ({megabytes:.1f} MB in all), and there is no ensemble: a client names the
net that it asks, and sends images that it has prepared. `{INPUT}` is float32 of shape (batch, {shape}), `{OUTPUT}` is
float32 of shape (batch, {classes}).

| model | depth | multiply-accumulates | accuracy, % |
|---|---|---|---|
{rows}

{preparation} `ddnn_runtime.Runtime` opens this folder, too.
"""
_KNOWN = "How images are prepared is in each graph's metadata, and in `export.json` for all."
_UNKNOWN = "The network was saved without its data's description, so nothing here says how images are prepared."


def export_triton(
    network: DepthDynamicNetwork,
    directory: str | Path,
    images: Tensor,
    *,
    accuracies: Mapping[str, float] | None = None,
    cascade: CascadeSpec | None = None,
    opset: int = OPSET,
    precision: Literal["fp32", "fp16"] = "fp32",
    max_batch: int = 16,
    progress: Progress = lambda _: None,
) -> Export:
    """Write a model repository: NET/config.pbtxt and NET/1/model.onnx for each net; see `export_onnx`.

    Args:
        network: on the CPU.
        directory: a folder that does not exist; it appears when all is written and checked.
        images: (batch, channels, height, width), on which graphs are compared with PyTorch.
        accuracies: of the nets, in [0, 1], for the manifest.
        cascade: the calibrated cascade, for the manifest; Triton does not run it.
        opset: of ONNX's operators, 18 or later.
        precision: of weights and of what is between layers; images and logits are float32 all the same.
        max_batch: images that Triton puts into one call at most.
        progress: is told what is being done.

    Raises:
        NotExportable: if a net cannot be expressed in ONNX.
        DDNNError: if the folder exists, onnx is not installed, the full net is too large for one file, or a graph does
            not agree with PyTorch.
    """
    _check_size(network, precision)
    with staged(Path(directory)) as stage:
        flat = stage / ".graphs"  # which no net can be called
        export = export_onnx(
            network,
            flat,
            images,
            accuracies=accuracies,
            cascade=cascade,
            pieces=False,
            one_file=True,
            opset=opset,
            precision=precision,
            progress=progress,
        )
        manifest = _in_folders(export.manifest, flat, stage)
        (flat / MANIFEST).unlink()
        flat.rmdir()
        _describe(manifest, stage, max_batch)
        write_text(stage / MANIFEST, manifest.to_json())
    return replace(export, manifest=manifest)


def _check_size(network: DepthDynamicNetwork, precision: str) -> None:
    """Refuse what no graph holds before minutes are spent on it."""
    held = sum(tensor.nbytes for tensor in network[network.full].state_dict().values())
    if held // (2 if precision == "fp16" else 1) > LARGEST_GRAPH:
        raise DDNNError(
            f"{network.full} has {held / 2**30:.1f} GiB of weights, and a graph of a repository holds less than 2: "
            "give --precision fp16, or export with --format onnx, and copy NET.onnx as NET/1/model.onnx, and "
            "weights.bin beside it"
        )


def _in_folders(manifest: Manifest, flat: Path, repository: Path) -> Manifest:
    """Move each graph to where Triton looks for it; the content is what was compared with PyTorch."""
    nets = {}
    for name, net in manifest.nets.items():
        place = repository / name / MODEL
        place.parent.mkdir(parents=True)
        (flat / net.graph.file).rename(place)
        nets[name] = replace(net, graph=replace(net.graph, file=f"{name}/{MODEL}"))
    return replace(manifest, nets=nets)


def _describe(manifest: Manifest, repository: Path, max_batch: int) -> None:
    """Write what Triton wants to know of each model, and what people do."""
    for name in manifest.names:
        write_text(repository / name / CONFIG, config_text(manifest, name, max_batch))
        if manifest.data is not None:
            lines = (" ".join(label.split()) for label in manifest.data.class_names)
            write_text(repository / name / LABELS, "".join(f"{line}\n" for line in lines))
    write_text(repository / README, _readme(manifest))


def config_text(manifest: Manifest, name: str, max_batch: int) -> str:
    """The `config.pbtxt` of a net, a text of Triton's message `ModelConfig`.

    Args:
        manifest: of the export.
        name: of the net.
        max_batch: images that Triton puts into one call at most.
    """
    return _CONFIG.format(
        name=name,
        max_batch=max_batch,
        shape=[*manifest.input_shape],
        classes=manifest.num_classes,
        labels="" if manifest.data is None else f' label_filename: "{LABELS}"',
        INPUT=INPUT,
        OUTPUT=OUTPUT,
    )


def _readme(manifest: Manifest) -> str:
    rows = (
        f"| `{name}` | {' '.join(map(str, net.depth))} | {net.macs:,} | "
        f"{'-' if net.accuracy is None else percent(net.accuracy)} |"
        for name, net in manifest.nets.items()
    )
    return _README.format(
        nets=", ".join(manifest.names),
        megabytes=sum(file.bytes for file in manifest.files) / 1e6,
        shape=", ".join(map(str, manifest.input_shape)),
        classes=manifest.num_classes,
        rows="\n".join(rows),
        preparation=_UNKNOWN if manifest.data is None else _KNOWN,
        INPUT=INPUT,
        OUTPUT=OUTPUT,
    )
