"""`ddnn export`: files of all nets for engines other than PyTorch, and one weight file."""

from pathlib import Path
from typing import Any

from ddnn.commands.command_parser import CommandParser
from ddnn.config import ExportConfig, from_fields
from ddnn.reporting.tables import millions, percent, print_json, print_table

DESCRIPTION = "graphs of all nets for other engines, with one weight file"


def add_options(parser: CommandParser) -> None:
    """The keys of the command."""
    parser.add_argument("run", help="a run directory or a saved network")
    parser.add_class_arguments(ExportConfig)


def run(options: Any) -> None:
    """Do it, and print the result."""
    config = from_fields(ExportConfig, options.as_dict())
    from ddnn.deployment.from_run import export

    exported = export(options.run, config=config)
    if options.json:
        return print_json(exported.to_json())
    _show(exported.output, exported.to_json())


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
    title = (
        f"{directory}: {_kind(result)}; logits differ from PyTorch's by {result['largest_difference']:.1g} at most, on "
        f"{result['compared_on']}"
    )
    print_table(title, ["net", "depth", "file", "MB", "params, M", "MACs, M", "accuracy, %"], rows)
    print(_weights(directory, result))
    if result["normalisation"] == "unknown":
        print(
            "normalisation unknown: the network was saved without its data's description, so the export takes prepared "
            "images only; give --mean and --std, or set net.data_spec and save it again"
        )


def _kind(result: dict[str, Any]) -> str:
    if result["format"] == "torch":
        return "torch.export"
    repository = "a model repository for Triton, " if result["format"] == "triton" else ""
    return f"{repository}ONNX, opset {result['opset']}, {result['precision']}"


def _weights(directory: Path, result: dict[str, Any]) -> str:
    """Where the weights are, and how large."""
    held = sum(net["bytes"] for net in result["nets"].values())
    size = result.get("bytes", held)
    of_full = f"{size / result['full_net_bytes']:.3f} of the full net's own weights"
    if "weights" in result:
        return f"{directory / result['weights']}: {size / 1e6:.2f} MB for all nets, {of_full}"
    return f"each net has a copy of its weights: {size / 1e6:.2f} MB in all, {of_full}"
