"""What flows through a graph in 8 bits: where that lies, from calibration images, and the nodes that convert it.

onnxruntime's own tools do both: its calibrator finds the smallest and the largest number at each place, its quantiser
puts in QuantizeLinear and DequantizeLinear, which onnxruntime fuses into integer kernels when it opens the graph.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QDQQuantizer, QuantType
from onnxruntime.quantization.calibrate import CalibrationDataReader, TensorData, TensorsData, create_calibrator

from ddnn.deployment.quantization.scheme import Scheme
from ddnn_runtime.manifest import INPUT

_STEPS = 255
"""Of an activation, which is coded in 8 bits."""

_TYPES = {"uint8": QuantType.QUInt8, "int8": QuantType.QInt8}

Ranges = Mapping[str, tuple[float, float]]
"""The smallest and the largest number at each place, by the name of the value."""


def input_scales(ranges: Ranges) -> dict[str, float]:
    """What one step of a code is worth, for each value."""
    return {name: max((max(high, 0.0) - min(low, 0.0)) / _STEPS, 1e-30) for name, (low, high) in ranges.items()}


def find_ranges(graph: Path, batches: Sequence[np.ndarray]) -> dict[str, tuple[float, float]]:
    """The range of every float value of a graph.

    Args:
        graph: an ONNX file.
        batches: images, (batch, channels, height, width).
    """
    with TemporaryDirectory() as folder, _quiet():
        calibrator = create_calibrator(
            graph,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        calibrator.collect_data(_Batches(batches))
        found = calibrator.compute_data()
    assert isinstance(found, TensorsData)
    return {name: (float(np.min(data.lowest)), float(np.max(data.highest))) for name, data in found.items()}


def quantize_activations(
    graph: onnx.ModelProto, nodes: Collection[str], ranges: Ranges, scheme: Scheme
) -> onnx.ModelProto:
    """Let some nodes compute with codes.

    Args:
        graph: its weights are codes already, in the nodes that are named and have weights; it is changed.
        nodes: names of at least one node.
        ranges: of its values.
        scheme: of activations.
    """
    assert nodes, "onnxruntime takes none for all"
    properties = {item.key: item.value for item in graph.metadata_props}
    onnx.helper.set_model_props(graph, {"onnx.infer": "onnxruntime.quant"})  # types and shapes are in the graph
    limits: dict[str, Any] = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()
    }
    with _quiet():
        quantizer = QDQQuantizer(
            graph,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=_TYPES[scheme.activations],
            tensors_range=TensorsData(CalibrationMethod.MinMax, limits),
            nodes_to_quantize=sorted(nodes),
            nodes_to_exclude=[],
            op_types_to_quantize=sorted({node.op_type for node in graph.graph.node}),
            extra_options={"OpTypesToExcludeOutputQuantization": sorted(scheme.float_outputs)},
        )
        quantizer.quantize_model()
        quantizer.model.topological_sort()
    result = quantizer.model.model
    onnx.helper.set_model_props(result, properties)
    return result


class _Batches(CalibrationDataReader):
    """Images as the calibrator asks for them."""

    def __init__(self, batches: Sequence[np.ndarray]) -> None:
        self._left = iter(batches)

    def get_next(self) -> Any:
        batch = next(self._left, None)
        return None if batch is None else {INPUT: batch}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without remarks on how else to quantise; they go to the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
