"""Classify images as they come in, each at a depth that the battery and the load allow just then.

    ddnn export RUN --output export
    python examples/adaptive_depth.py export pictures

On a full battery with idle cores the best net answers; on an empty one, or with all cores busy, the fastest. It needs
ddnn-runtime alone (`pip install ./runtime`), and no torch.
"""

import os
import sys
import time
from pathlib import Path

from ddnn_runtime import DDNNError, Runtime
from ddnn_runtime.image_files import image_files


def battery() -> float:
    """Charge in [0, 1]; 1 for a machine without a battery."""
    charges = [int(path.read_text()) for path in Path("/sys/class/power_supply").glob("BAT*/capacity")]
    return min(charges, default=100) / 100


def idle() -> float:
    """Share of the cores that had nothing to do in the last minute, in [0, 1]."""
    return max(0.0, 1 - os.getloadavg()[0] / (os.cpu_count() or 1))


def affordable(runtime: Runtime, power: float) -> str:
    """The best net for that much power in [0, 1], from the fastest net's latency at 0 to the slowest's at 1."""
    latencies = runtime.latency().values()
    return runtime.best_within(min(latencies) + power * (max(latencies) - min(latencies)))


def main(export: str, *places: str) -> None:
    """Print a line for each image."""
    runtime = Runtime(export)
    runtime.load()  # so that a change of depth takes no time
    for file in image_files(places):
        name = affordable(runtime, min(battery(), idle()))
        images = runtime.read(file)
        began = time.perf_counter()
        best = runtime(images, name)[0].argmax()
        taken = 1e3 * (time.perf_counter() - began)
        print(f"{file}: {(runtime.class_names or range(runtime.manifest.num_classes))[best]}  ({name}, {taken:.1f} ms)")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python examples/adaptive_depth.py EXPORT IMAGE_OR_FOLDER...")
    try:
        main(*sys.argv[1:])
    except DDNNError as error:
        sys.exit(f"error: {error}")
