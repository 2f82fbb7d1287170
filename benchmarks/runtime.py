"""What an export costs to run: memory of several open nets, a change of net, and what sharing weights costs in time.

python benchmarks/runtime.py [--full resnet34 --subnets resnet18 --side 224 --threads 1 --seconds 10]

Memory is that of a fresh process that opens the nets one after the other and calls each: *private* is what belongs to
the process alone (Linux's `Anonymous`), *file* the pages of the weight file that it maps, which all sessions and all
processes have in common and the system may drop. *Separate files* are the nets exported one by one, as without this
library. A change of net is timed on nets that compute almost nothing: calls that take turns between two nets against
calls that stay with each.
"""

import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

import ddnn
from command import SubnetsOption, read_subnets, run
from ddnn.deployment import Runtime, export_onnx
from ddnn_runtime.latency import interleaved_for
from reporting import Report
from timing import interleaved, quartiles, ratio

_OPENS = """
import gc, json, sys
from pathlib import Path
import numpy as np
from ddnn_runtime import Runtime

def held():
    fields = dict(line.split(":") for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return [int(fields[name].split()[0]) / 1024 for name in ("Anonymous", "Pss_File")]

share, threads = sys.argv[1] == "True", int(sys.argv[2])
runtimes = [Runtime(path, threads=threads, share_weights=share) for path in sys.argv[3:]]
images = np.zeros((1, *runtimes[0].manifest.input_shape), dtype=np.float32)
gc.collect()
before, rows = held(), []
for runtime in runtimes:
    for name in runtime.names:
        runtime(images, name)
        gc.collect()
        rows.append([name, *(now - then for now, then in zip(held(), before))])
print(json.dumps(rows))
"""


def main(
    full: str = "resnet34",
    subnets: SubnetsOption = "resnet18",
    side: int = 224,
    threads: int = 1,
    seconds: float = 10.0,
    output: str | None = None,
) -> None:
    """Print memory, latencies and the time of a change.

    Args:
        full: the full net.
        subnets: its sub-nets, as `ddnn train` takes them.
        side: of the images, in pixels.
        threads: for one call.
        seconds: time for the latencies.
        output: a JSON file for the results.
    """
    report = Report("What does it cost to run an export?", output)
    network = ddnn.build(full, read_subnets(subnets), num_classes=1000).eval()
    images = torch.randn(2, 3, side, side)
    with tempfile.TemporaryDirectory() as folder:
        together = Path(folder, "together")
        export_onnx(network, together, images, pieces=False)
        separate = [_alone(network, name, images, Path(folder, name)) for name in network.names]
        report.table("memory, MiB, as nets are opened", memory_rows(together, separate, threads))
        report.table("latency, batch of one", latency_rows(together, threads, seconds))
        report.table("a change of net", switch_rows(Path(folder, "tiny"), threads))


def memory_rows(together: Path, separate: list[Path], threads: int) -> list[dict[str, Any]]:
    """Memory after each net was opened, in each way."""
    ways = {
        "separate files": (False, separate),
        "one file, a copy a session": (False, [together]),
        "one file, shared": (True, [together]),
    }
    return [
        {"way": way, "opened": name, "private": private, "file": file, "sum": private + file}
        for way, (share, paths) in ways.items()
        for name, private, file in _opened(share, threads, paths)
    ]


def latency_rows(export: Path, threads: int, seconds: float) -> list[dict[str, Any]]:
    """Each net with shared weights against the same with a copy."""
    copies, shared = (Runtime(export, threads=threads, share_weights=share) for share in (False, True))
    images = np.random.default_rng(0).standard_normal((1, *copies.manifest.input_shape)).astype(np.float32)
    rows = []
    for name in copies.names:
        works = {"copy": partial(copies, images, name), "shared": partial(shared, images, name)}
        taken = interleaved_for(works, seconds)
        own = {way: 1e3 * median(times) for way, times in taken.items()}
        rows.append({"net": name, **{f"{way}_ms": time for way, time in own.items()}})
        rows[-1] |= ratio(taken["shared"], taken["copy"])
    return rows


def switch_rows(folder: Path, threads: int) -> list[dict[str, Any]]:
    """Microseconds that a change adds to a call."""
    network = ddnn.build("resnet14", ["resnet8"], num_classes=10).eval()
    export_onnx(network, folder, torch.randn(2, 3, 8, 8), pieces=False)
    runtime, images = Runtime(folder, threads=threads), np.zeros((1, 3, 8, 8), dtype=np.float32)
    one, other = (partial(runtime, images, name) for name in runtime.names)

    def changing() -> None:
        one()
        other()

    each = interleaved({"changing": changing, "one": one, "other": other}, repeats=200, warmup=20, calls=20)
    added = [1e6 * (a - b - c) / 2 for a, b, c in zip(each["changing"], each["one"], each["other"], strict=True)]
    low, high = quartiles(added)
    calls = {f"{name}_call_us": 1e6 * median(each[name]) for name in ("one", "other")}
    return [{"added_us": median(added), "low": low, "high": high, **calls}]


def _alone(network: ddnn.DepthDynamicNetwork, name: str, images: torch.Tensor, folder: Path) -> Path:
    """One net as an export of its own."""
    alone = ddnn.DepthDynamicNetwork(
        network.family, (name, network.depths[name]), network.extract(name), num_classes=network.num_classes
    )
    export_onnx(alone, folder, images, pieces=False)
    return folder


def _opened(share: bool, threads: int, paths: list[Path]) -> list[tuple[str, float, float]]:
    command = [sys.executable, "-c", _OPENS, str(share), str(threads), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(row) for row in json.loads(done.stdout)]


if __name__ == "__main__":
    run(main)
