"""Which engine a path needs."""

from pathlib import Path

from ddnn.config.cores import check_threads
from ddnn.engines.engine import Engine
from ddnn_runtime.manifest import is_export


def open_engine(
    path: str | Path, device: str = "auto", threads: int | None = None, max_pixels: int | None = None
) -> Engine:
    """The nets at a path, ready to be asked.

    Args:
        path: a run directory or a saved network, for PyTorch, or an export, for onnxruntime.
        device: where a run or a saved network runs: auto, cpu, cuda or mps. An export runs on the CPU.
        threads: of a call on the CPU; None means as many as there are cores. Those of PyTorch are the whole process's,
            and stay.
        max_pixels: `read` refuses images of more; None means as many as in training.

    Raises:
        ModelFileError: if it holds none of them, or is damaged.
        DDNNError: if this machine has no such device or not so many cores, or onnxruntime is needed and missing.

    Example:
        ```python
        engine = open_engine("runs/digits", threads=1)
        images = engine.read("three.png", "seven.png")
        engine(images, "resnet8")  # one depth
        engine.joint(images)  # all of them
        ```
    """
    if threads is not None:
        check_threads(threads)
    if is_export(path):
        from ddnn.engines.onnx_engine import OnnxEngine

        return OnnxEngine(Path(path), threads, max_pixels)
    import torch

    from ddnn.engines.torch_engine import TorchEngine
    from ddnn.measuring.devices import pick_device
    from ddnn.network.loading import load

    network = load(path).to(pick_device(device))
    network.data_spec = network.data_spec and network.data_spec.allowing(max_pixels)
    engine = TorchEngine(network)
    if threads is not None:
        torch.set_num_threads(threads)
    return engine
