"""`ddnn export`: files of all nets for engines other than PyTorch, and one weight file."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import EvaluateConfig, ExportConfig, from_fields
from ddnn.reporting.progress import say
from ddnn.reporting.tables import millions, percent, print_json, print_table

if TYPE_CHECKING:
    from torch import Tensor

    from ddnn.network import DepthDynamicNetwork

DESCRIPTION = "graphs of all nets for other engines, with one weight file"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(ExportConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(ExportConfig, options.as_dict())
    from ddnn.deployment import export_onnx, export_torch
    from ddnn.formats.staging import check_new
    from ddnn.network.loading import load, network_directory
    from ddnn.network.storage import read_config
    from ddnn.runs.run_directory import RunDirectory
    from ddnn_runtime.cascade_spec import read_cascade

    run, directory = Path(options.run), Path(config.output or Path(options.run, "export"))
    check_new(directory)
    network = load(run)
    weights = read_config(network_directory(run))["weights"]["sha256"]
    facts: dict[str, Any] = {
        "images": _images(network, run, config),
        "accuracies": RunDirectory(run).read_accuracies(),
        "cascade": read_cascade(run, network.names, weights),
        "progress": say,
    }
    if config.format == "onnx":
        export = export_onnx(network, directory, pieces=config.pieces, **facts)
    else:
        export = export_torch(network, directory, **facts)
    result = {"output": str(directory), **_result(export, network)}
    if options.json:
        return print_json(result)
    _show(directory, result)


def _images(network: "DepthDynamicNetwork", run: Path, config: ExportConfig) -> "Tensor":
    """Test images of the run's data, prepared as in training."""
    from ddnn.measuring.evaluation import open_evaluation_data
    from ddnn.runs.run_directory import evaluation_data

    wanted = EvaluateConfig(data=config.data, data_root=config.data_root, batch_size=config.check_images)
    data = evaluation_data(run, wanted)
    images, _ = next(iter(open_evaluation_data(network, replace(data, workers=0)).test("cpu")))
    return images


def _result(export: Any, network: "DepthDynamicNetwork") -> dict[str, Any]:
    manifest = export.manifest
    full = sum(tensor.numel() * tensor.element_size() for tensor in network[network.full].state_dict().values())
    weights = {} if manifest.weights is None else {"weights": manifest.weights.file, "bytes": manifest.weights.bytes}
    return {
        "format": manifest.kind,
        "opset": manifest.opset,
        **weights,
        "full_net_bytes": full,
        "largest_difference": export.difference,
        "nets": {
            name: {"file": net.graph.file, "bytes": net.graph.bytes, "parameters": net.parameters, "macs": net.macs}
            | {"depth": list(net.depth), "accuracy": net.accuracy}
            for name, net in manifest.nets.items()
        },
        "pieces": [piece.graph.file for piece in manifest.pieces],
    }


def _show(directory: Path, result: dict[str, Any]) -> None:
    rows = [
        (
            name,
            " ".join(map(str, net["depth"])),
            net["file"],
            f"{net['bytes'] / 1e6:.2f}",
            millions(net["parameters"]),
            millions(net["macs"]),
            "-" if net["accuracy"] is None else percent(net["accuracy"]),
        )
        for name, net in result["nets"].items()
    ]
    kind = f"ONNX, opset {result['opset']}" if result["format"] == "onnx" else "torch.export"
    title = f"{directory}: {kind}; logits differ from PyTorch's by {result['largest_difference']:.1g} at most"
    print_table(title, ["net", "depth", "file", "MB", "params, M", "MACs, M", "accuracy, %"], rows)
    if "weights" in result:
        ratio = result["bytes"] / result["full_net_bytes"]
        print(
            f"{directory / result['weights']}: {result['bytes'] / 1e6:.2f} MB for all nets, {ratio:.3f} of the full "
            "net's own weights"
        )
