"""How numbers should become codes: what each way does to accuracy and speed on this processor.

python benchmarks/quantization.py RUN [--images 2000 --batches '[1,32]' --seconds 10]

The full net of a run, every block in int8, in each of several ways: bits of weight codes, type of activation codes,
operators that compute with codes, what stays float. Test images, one thread; ratios of time are to the float graph,
within each turn. `precise` is onnxruntime's session.x64quantprecision, which avoids sums that are cut off.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

import ddnn
from command import run as start
from ddnn.config import QuantizeConfig
from ddnn.deployment import export_onnx
from ddnn.deployment.quantization.float_net import FloatNet
from ddnn.deployment.quantization.images import Images, images_of
from ddnn.deployment.quantization.scheme import Scheme
from ddnn.deployment.quantization.trials import caller, divergence
from ddnn_runtime.latency import interleaved_for, latencies
from ddnn_runtime.manifest import INPUT
from reporting import Report

USUAL = Scheme()
POOLS = frozenset({"AveragePool", "Concat", "GlobalAveragePool"})
SCHEMES: dict[str, Scheme] = {
    "usual": USUAL,
    "8 bits": replace(USUAL, weight_bits=8),
    "8 bits, precise": replace(USUAL, weight_bits=8),
    "8 bits, int8 activations": replace(USUAL, weight_bits=8, activations="int8"),
    "int8 activations": replace(USUAL, activations="int8"),
    "weighted operators alone": replace(USUAL, following=frozenset({"Clip", "Relu"})),
    "pooling and concatenation too": replace(USUAL, following=USUAL.following | POOLS),
    "logits in 8 bits too": replace(USUAL, float_outputs=frozenset()),
}


def main(
    run: str,
    images: int = 2000,
    calibration_images: int = 256,
    batches: list[int] | None = None,
    seconds: float = 10.0,
    data: str | None = None,
    output: str | None = None,
) -> None:
    """Print a table for the full net of a run.

    Args:
        run: a run directory.
        images: test images for accuracies.
        calibration_images: training images for ranges.
        batches: images in a call where time is measured; 1 and 32 by default.
        seconds: for each batch.
        data: as of `ddnn quantize`.
        output: a JSON file for the result.
    """
    network = ddnn.load(run)
    taken = images_of(network, Path(run), QuantizeConfig(calibration_images=calibration_images, data=data))
    test, labels = _first(taken, images)
    with TemporaryDirectory() as folder:
        export = export_onnx(network, Path(folder, "export"), torch.from_numpy(test[:2]), pieces=False).manifest
        path = Path(folder, "export", export.nets[network.full].graph.file)
        steps = network.family.steps(network.depths[network.full])
        net = FloatNet.open(network.full, path, steps, taken.calibration, USUAL)
    graphs = {name: replace(net, scheme=scheme).quantized(net.blocks) for name, scheme in SCHEMES.items()}
    sessions = {"float": _session(net.graph, precise=False)}
    sessions |= {name: _session(graph, precise="precise" in name) for name, graph in graphs.items()}
    logits = {name: session.run(None, {INPUT: test})[0] for name, session in sessions.items()}
    times = {
        batch: latencies(
            interleaved_for({name: caller(session, test[:batch]) for name, session in sessions.items()}, seconds),
            "float",
        )
        for batch in batches or [1, 32]
    }
    rows = [
        {"way": name, "accuracy": float((found.argmax(axis=1) == labels).mean())}
        | {"divergence, nats": divergence(logits["float"], found)}
        | {f"batch {batch}, ms": own[name].median_ms for batch, own in times.items()}
        | {f"batch {batch}, of float": own[name].ratio for batch, own in times.items()}
        for name, found in logits.items()
    ]
    title = f"{network.full} of {run}: {len(test)} test images of {taken.data}, one thread"
    Report("How should numbers become codes?", output).table(title, rows)


def _first(images: Images, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    pairs = list(images.test)
    return np.concatenate([own for own, _ in pairs])[:wanted], np.concatenate([own for _, own in pairs])[:wanted]


def _session(graph: onnx.ModelProto, precise: bool) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if precise:
        options.add_session_config_entry("session.x64quantprecision", "1")
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


if __name__ == "__main__":
    start(main)
