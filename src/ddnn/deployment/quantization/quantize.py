"""From a network to an export in int8: export in float, calibrate, find what each block costs, choose, write, measure.

The result is an export like any other, which `ddnn.deployment.Runtime` opens. A block is in int8 in all nets that have
it, or in none, and its codes are the same in all of them, so that the weight file has them once.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnxruntime
import torch

from ddnn.config import QuantizeConfig
from ddnn.deployment.export import export_onnx
from ddnn.deployment.quantization.float_net import FloatNet
from ddnn.deployment.quantization.forms import measure, write_graphs, write_manifest
from ddnn.deployment.quantization.images import Images, count
from ddnn.deployment.quantization.report import Quantization
from ddnn.deployment.quantization.scheme import Scheme
from ddnn.deployment.quantization.search import (
    Attempt,
    Sensitivity,
    chosen_of,
    sensitivities,
    within_drop,
    within_latency,
)
from ddnn.deployment.quantization.trials import Trials
from ddnn.errors import DDNNError
from ddnn.formats.staging import staged, write_text
from ddnn.measuring.devices import processor
from ddnn.network import DepthDynamicNetwork
from ddnn.reporting.progress import Progress
from ddnn.reporting.tables import to_json
from ddnn_runtime.manifest import Manifest

REPORT = "quantization.json"
"""What was tried and what it gave, beside the export's manifest."""


def quantize_network(
    network: DepthDynamicNetwork,
    directory: str | Path,
    images: Images,
    config: QuantizeConfig,
    progress: Progress = lambda _: None,
) -> Quantization:
    """Write an export in int8.

    Args:
        network: on the CPU.
        directory: a folder that does not exist; it appears when all is written and measured.
        images: that calibrate, decide and judge.
        config: the bound, bits and threads; what it says of the output and of images is not looked at.
        progress: is told what is being done.

    Raises:
        NotExportable: if a net cannot be expressed in ONNX.
        DDNNError: if the folder exists, there is nothing to quantise, or no choice of blocks meets the bound.
    """
    with staged(Path(directory)) as stage, TemporaryDirectory() as folder:
        check = torch.from_numpy(images.deciding[0][0][:8])
        export = export_onnx(network, Path(folder, "fp32"), check, pieces=False, progress=progress).manifest
        assert export.weights is not None
        trials = _calibrated(network, export, Path(folder, "fp32"), images, config, progress)
        ranked = sensitivities(trials, progress)
        tried = _search(trials, ranked, config, progress)
        int8 = chosen_of(tried).int8
        progress("writing and measuring")
        weights = write_graphs(trials, stage, int8)
        figures = measure(trials, stage, int8, images.test)
        write_manifest(export, stage, figures)
        result = Quantization(
            output=str(directory),
            bound=_bound(config),
            blocks=trials.blocks,
            int8=int8,
            sensitivities=ranked,
            tried=tried,
            nets=figures.nets,
            weights=weights,
            float_weight_bytes=export.weights.bytes,
            conditions=_conditions(images, figures.images, config),
        )
        write_text(stage / REPORT, to_json(result.to_json()) + "\n")
    return result


def _calibrated(
    network: DepthDynamicNetwork,
    export: Manifest,
    folder: Path,
    images: Images,
    config: QuantizeConfig,
    progress: Progress,
) -> Trials:
    """The nets of an export, ready to be quantised in any choice of blocks."""
    nets = {}
    for name, net in export.nets.items():
        progress(f"calibrating {name}")
        steps = network.family.steps(network.depths[name]) if network.shares_prefix else None
        nets[name] = FloatNet.open(name, folder / net.graph.file, steps, images.calibration, Scheme(config.weight_bits))
    trials = Trials(nets, images.deciding, config.threads)
    if not trials.blocks:
        raise DDNNError(f"{network.full} has no convolution or matrix product with a constant weight to quantise")
    return trials


def _search(trials: Trials, ranked: list[Sensitivity], config: QuantizeConfig, progress: Progress) -> list[Attempt]:
    if config.latency_ms is not None:
        return within_latency(trials, ranked, config.latency_ms, progress)
    return within_drop(trials, ranked, config.drop_bound, progress)


def _bound(config: QuantizeConfig) -> dict[str, float]:
    if config.latency_ms is not None:
        return {"latency_ms": config.latency_ms}
    return {"max_drop": config.drop_bound}


def _conditions(images: Images, test_images: int, config: QuantizeConfig) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "data": images.data,
        "calibration_images": count(images.calibration),
        "deciding_images": count(images.deciding),
        "decided_on": images.decided_on,
        "test_images": test_images,
        "weight_bits": config.weight_bits,
        "threads": config.threads,
        "processor": processor(),
        "onnxruntime": onnxruntime.__version__,
    }
