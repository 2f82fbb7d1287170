"""From a run to an export: the functions that open its network and its images, and say where the result goes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from ddnn.config import DataConfig, ExportConfig, QuantizeConfig, configured
from ddnn.deployment.export import Export, export_onnx, export_torch
from ddnn.deployment.graphs import require_onnx
from ddnn.formats.arguments import path_of
from ddnn.formats.staging import check_new
from ddnn.network import DepthDynamicNetwork
from ddnn.network.loading import load, network_directory
from ddnn.network.storage import read_config
from ddnn.reporting.progress import say
from ddnn.runs.data_of_run import data_of_run, open_images
from ddnn.runs.run_directory import RunDirectory
from ddnn_runtime.cascade_spec import read_cascade

if TYPE_CHECKING:
    from ddnn.deployment.quantization import Quantization


@dataclass(frozen=True)
class ExportedRun(Export):
    """An export of a run; what an export has, comes first.

    Args:
        output: the folder.
        full_net_bytes: size of the full net's own weights.
    """

    output: Path
    full_net_bytes: int

    def to_json(self) -> dict[str, Any]:
        """What `ddnn export --json` prints."""
        manifest = self.manifest
        weights = (
            {} if manifest.weights is None else {"weights": manifest.weights.file, "bytes": manifest.weights.bytes}
        )
        return {
            "output": str(self.output),
            "format": manifest.kind,
            "opset": manifest.opset,
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
        DDNNError: if the folder exists, onnx is not installed, a graph does not agree with PyTorch, it is not known on
            which data to compare, or a key or value makes no sense.

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
    facts: dict[str, Any] = {
        "images": _images(network, path, config),
        "accuracies": RunDirectory(path).read_accuracies(),
        "cascade": read_cascade(path, network.names, weights),
        "progress": _told(progress),
    }
    if config.format == "onnx":
        written = export_onnx(network, directory, pieces=config.pieces, **facts)
    else:
        written = export_torch(network, directory, **facts)
    full = sum(tensor.numel() * tensor.element_size() for tensor in network[network.full].state_dict().values())
    return ExportedRun(written.manifest, written.difference, directory, full)


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


def _images(network: DepthDynamicNetwork, run: Path, config: ExportConfig) -> Tensor:
    """Test images of the run's data, prepared as in training."""
    found = data_of_run(run, config.data, config.data_root, held_out=DataConfig.validation)
    images, _ = next(iter(open_images(network, found.unaugmented(config.check_images, workers=0)).test("cpu")))
    return images


def _told(progress: bool) -> Callable[[str], None]:
    return say if progress else lambda _: None
