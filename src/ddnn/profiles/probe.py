"""Loads one net, runs it, and says how much memory the process took: run as `python -m ddnn.profiles.probe`.

A process of its own, because memory that another net has taken cannot be told from this one's. What to do comes as
JSON on standard input, and the answer goes as JSON to standard output. For a graph, torch is not imported.
"""

import json
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from ddnn.measuring.peak_memory import resident_bytes

CALLS = 3

Program = Callable[[list[int]], None]
"""Runs the net on a batch of this shape."""


def main() -> None:
    """Do what standard input asks for."""
    task = json.load(sys.stdin)
    library = _torch(task) if "model" in task else _onnxruntime(task)
    print(json.dumps(library))


def _onnxruntime(task: Mapping[str, Any]) -> dict[str, Any]:
    import numpy as np
    import onnxruntime  # noqa: F401

    from ddnn_runtime import Runtime

    library = resident_bytes("VmRSS")
    runtime = Runtime(task["export"], threads=task["threads"])

    def run(shape: list[int]) -> None:
        runtime(np.random.default_rng(0).standard_normal(shape, dtype=np.float32), task["name"])

    return {"library": library, "peaks": [_peak(run, shape) for shape in task["shapes"]]}


def _torch(task: Mapping[str, Any]) -> dict[str, Any]:
    import torch

    import ddnn.network.depth_dynamic  # noqa: F401  # what a program that loads a network imports

    import_module(task["module"])
    torch.set_num_threads(task["threads"])
    device = torch.device(task["device"])
    torch.nn.Conv2d(3, 8, 3)(torch.zeros(1, 3, 8, 8))  # threads and kernels are there after the first call
    library = resident_bytes("VmRSS") if device.type == "cpu" else None
    # The file is our own, written a moment ago for this process.
    model = torch.load(task["model"], map_location=device, mmap=True, weights_only=False)
    kind = next(model.parameters()).dtype
    if task["compile"]:
        model = torch.compile(model, dynamic=False)

    @torch.inference_mode()
    def run(shape: list[int]) -> None:
        model(torch.randn(shape).to(device, kind))

    if device.type != "cuda":
        return {"library": library, "peaks": [_peak(run, shape) for shape in task["shapes"]]}
    peaks = []
    for shape in task["shapes"]:
        run(shape)  # compilers and cuDNN try things in the first call
        torch.cuda.reset_peak_memory_stats(device)
        run(shape)
        peaks.append(torch.cuda.max_memory_allocated(device))
    return {"library": None, "peaks": peaks}


def _peak(run: Program, shape: list[int]) -> int | None:
    """The highest memory so far: shapes come small to large, and none takes less than the one before."""
    for _ in range(CALLS):
        run(shape)
    return resident_bytes("VmHWM")


if __name__ == "__main__":
    main()
