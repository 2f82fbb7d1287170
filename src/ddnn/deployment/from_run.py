"""From a run to an export: the functions that open its network and its images, and say where the result goes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ddnn.config import DataConfig, ExportConfig, QuantizeConfig, configured
from ddnn.deployment.export import Export, export_onnx, export_torch
from ddnn.deployment.graphs import require_onnx
from ddnn.deployment.triton import export_triton
from ddnn.errors import DDNNError
from ddnn.formats.arguments import path_of
from ddnn.formats.staging import check_new
from ddnn.network import DepthDynamicNetwork
from ddnn.network.loading import load, network_directory
from ddnn.network.storage import read_config
from ddnn.reporting.progress import say
from ddnn.runs.data_of_run import data_of_run, open_images
from ddnn.runs.run_directory import RunDirectory
from ddnn_runtime.cascade_spec import read_cascade
from ddnn_runtime.data_spec import DataSpec

if TYPE_CHECKING:
    from ddnn.deployment.quantization import Quantization

_FORMATS: dict[str, tuple[Callable[..., Export], tuple[str, ...]]] = {
    "onnx": (export_onnx, ("pieces", "one_file", "opset", "precision")),
    "torch": (export_torch, ()),
    "triton": (export_triton, ("opset", "precision", "max_batch")),
}
"""What writes each format, and the keys of the configuration that it takes."""


@dataclass(frozen=True)
class ExportedRun(Export):
    """An export of a run; what an export has, comes first.

    Args:
        output: the folder.
        full_net_bytes: size of the full net's own weights.
        compared_on: the images that graphs were compared with PyTorch on.
        format: onnx, torch or triton.
    """

    output: Path
    full_net_bytes: int
    compared_on: str = "test images"
    format: str = "onnx"

    def to_json(self) -> dict[str, Any]:
        """What `ddnn export --json` prints."""
        manifest = self.manifest
        weights = (
            {} if manifest.weights is None else {"weights": manifest.weights.file, "bytes": manifest.weights.bytes}
        )
        return {
            "output": str(self.output),
            "format": self.format,
            "opset": manifest.opset,
            "precision": manifest.precision,
            "normalisation": "unknown" if manifest.data is None else "known",
            "compared_on": self.compared_on,
            **weights,
            "full_net_bytes": self.full_net_bytes,
            "largest_difference": self.difference,
            "nets": {
                name: {"file": net.graph.file, "bytes": net.graph.bytes, "parameters": net.parameters, "macs": net.macs}
                | {"depth": list(net.depth), "accuracy": net.accuracy}
                for name, net in manifest.nets.items()
            },
            "pieces": [piece.graph.file for piece in manifest.pieces],
        }


def export(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    config: ExportConfig | None = None,
    *,
    progress: bool = True,
    **keys: Any,
) -> ExportedRun:
    """Write all nets of a run as files that run without this library: a graph for each, and one weight file.

    What the run knows goes into the export, too: accuracies, class names, how images are prepared, its cascade.

    Args:
        run: a run directory or a saved network; or what `ddnn.train` returns.
        output: a folder that does not exist, which appears when all is written and checked; None means that of the
            configuration, else RUN/export.
        config: in which format, and on which images graphs are compared with PyTorch; None means the defaults.
        progress: say on standard error what is being done.
        keys: fields of `ddnn.ExportConfig`, in place of the configuration's.

    Raises:
        NotExportable: if a net cannot be expressed in the format.
        ModelFileError: if there is no network, or it is damaged.
        DDNNError: if the folder exists, onnx is not installed, a graph does not agree with PyTorch, or a key or value
            makes no sense.

    Example:
        ```python
        ddnn.export("runs/digits", "export").manifest.names
        logits = ddnn.deployment.Runtime("export")(images, "resnet8")
        ```
    """
    path, config = path_of(run, "run"), configured(ExportConfig, config, keys)
    directory = _new(output, config.output, path / "export")
    network = load(path)
    weights = read_config(network_directory(path))["weights"]["sha256"]
    images, compared_on = _images(network, path, config)
    facts: dict[str, Any] = {
        "images": images,
        "accuracies": RunDirectory(path).read_accuracies(),
        "cascade": read_cascade(path, network.names, weights),
        "progress": _told(progress),
    }
    write, keys_of_format = _FORMATS[config.format]
    written = write(network, directory, **{key: getattr(config, key) for key in keys_of_format}, **facts)
    full = sum(tensor.numel() * tensor.element_size() for tensor in network[network.full].state_dict().values())
    return ExportedRun(written.manifest, written.difference, directory, full, compared_on, config.format)


def quantize(
    run: str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    config: QuantizeConfig | None = None,
    *,
    progress: bool = True,
    **keys: Any,
) -> "Quantization":
    """Write all nets of a run as an export in int8, with those blocks in float that a bound asks for.

    Args:
        run: a run directory or a saved network; or what `ddnn.train` returns.
        output: a folder that does not exist, which appears when all is written and measured; None means that of the
            configuration, else RUN/export-int8.
        config: the bound, and the images that decide; None means the defaults.
        progress: say on standard error what is being done.
        keys: fields of `ddnn.QuantizeConfig`, in place of the configuration's: `max_drop` as a share in [0, 1), or
            `latency_ms` of the full net, and so on.

    Returns:
        Accuracies as shares in [0, 1], latencies in milliseconds and sizes in bytes, of each net in each form.

    Raises:
        NotExportable: if a net cannot be expressed in ONNX.
        ModelFileError: if there is no network, or it is damaged.
        DDNNError: if the folder exists, onnx is not installed, no choice of blocks meets the bound, it is not known
            which images to calibrate on, or a key or value makes no sense.

    Example:
        ```python
        result = ddnn.quantize("runs/digits", "export-int8", max_drop=0.005)
        result.nets["resnet8"]["chosen"].accuracy, result.fp32
        ```
    """
    path, config = path_of(run, "run"), configured(QuantizeConfig, config, keys)
    require_onnx()
    directory = _new(output, config.output, path / "export-int8")
    network = load(path)
    from ddnn.deployment.quantization import images_of, quantize_network  # which cannot be imported without onnx

    return quantize_network(network, directory, images_of(network, path, config), config, _told(progress))


def _new(output: str | os.PathLike[str] | None, configured: str | None, usual: Path) -> Path:
    """Where an export goes, which must not be there yet."""
    given = configured if output is None else output
    directory = usual if given is None else path_of(given, "output")
    check_new(directory)
    return directory


def _images(network: DepthDynamicNetwork, run: Path, config: ExportConfig) -> tuple[Tensor, str]:
    """Test images of the run's data, prepared as in training, or random numbers where it says none; and which."""
    _describe_data(network, config)
    if config.data is None and not RunDirectory(run).config_file.is_file():
        size = network.data_spec.size if network.data_spec else _sides(network, config)
        shape = (config.check_images, network.in_channels, *size)
        return torch.randn(shape, generator=torch.Generator().manual_seed(0)), "random numbers"
    found = data_of_run(run, config.data, config.data_root, held_out=DataConfig.validation)
    prepared = found.unaugmented(config.check_images, workers=0)
    images, _ = next(iter(open_images(network, prepared, whole=found.whole).test("cpu")))
    return images, "test images"


def _describe_data(network: DepthDynamicNetwork, config: ExportConfig) -> None:
    """Complete a network that was saved without its data's description by what the configuration says of it.

    Raises:
        DDNNError: the network has a description, or what is said does not fit it.
    """
    if network.data_spec is not None:
        given = [key for key in ("image_size", "mean", "std") if getattr(config, key) is not None]
        if given:
            raise DDNNError(f"the network says its image size and normalisation itself: leave out {', '.join(given)}")
    elif config.mean is not None and config.std is not None:
        names = tuple(str(number) for number in range(network.num_classes))
        network.data_spec = DataSpec(
            network.in_channels, _sides(network, config), tuple(config.mean), tuple(config.std), names
        )


def _sides(network: DepthDynamicNetwork, config: ExportConfig) -> tuple[int, int]:
    if config.image_size is not None:
        return config.image_size, config.image_size
    _, height, width = network.family.default_input
    return height, width


def _told(progress: bool) -> Callable[[str], None]:
    return say if progress else lambda _: None
