"""What it costs that a net lives in a network: speed against the stock model, time of a switch, memory of weights.

python benchmarks/inference.py [--full resnet34 --subnets resnet18 --side 224 --batches '[1,8]' --seconds 20]

Speed: `net(x, name)` against an independent stock model of that depth, in evaluation mode. Many short turns, each with
an order of its own, and the median of the ratios within the turns. A second copy of the stock model takes part too:
its ratio to the first, `control`, is 1 but for the noise, and shows what the measurement can tell apart. With
`--compile true`, rows for torch.compile of both come on top.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

import switching
from command import SubnetsOption, read_subnets, run
from ddnn.errors import DDNNError
from ddnn.network import DepthDynamicNetwork
from memory import MIB
from reporting import Report
from settings import Setting
from steps import Problem
from timing import Work, interleaved, ratio

FEWEST_TURNS, MOST_TURNS = 20, 1000


def main(
    full: str = "resnet34",
    subnets: SubnetsOption = "resnet18",
    side: int = 224,
    batches: tuple[int, ...] = (1, 8),
    seconds: float = 20.0,
    output: str | None = None,
    **setting: Any,
) -> None:
    """Print speeds, the cost of a switch, and the memory of weights.

    Args:
        full: the full net.
        subnets: its sub-nets, as `ddnn train` takes them.
        side: of the images, in pixels.
        batches: images in a batch, a list.
        seconds: time for each row of the speeds; how many turns that makes is in the row.
        output: a JSON file for the results.
        setting: see `Setting`.
    """
    where, chosen = Setting(**setting), read_subnets(subnets)
    if not batches or min(batches) < 1:
        raise DDNNError(f"batches must be at least one number of images, each at least 1, not {list(batches)}")
    network = where.place(Problem(full, chosen, side, batch=1, classes=1000).network().eval())
    modes = [replace(where, compile=compiled) for compiled in ((False, True) if where.compile else (False,))]
    rows = [
        speed(network, name, where.images(batch, side), mode, seconds)
        for mode in modes
        for batch in batches
        for name in network.names
    ]
    report = Report("What does it cost that a net lives in a network?", output)
    report.table(f"net(x, name) over the stock model: {side}x{side}, {where}", rows)
    report.table("time of a choice", switching.time_rows(where))
    report.table("bytes of a choice", switching.byte_rows(where))
    report.table(f"weights of {full} with {', '.join(chosen)} over those of {full}", weight_rows(network))


@torch.no_grad()
def speed(network: DepthDynamicNetwork, name: str, images: Tensor, mode: Setting, budget: float) -> dict[str, Any]:
    """One net at one batch size, against stock models of its depth."""
    if mode.compile:
        torch.compiler.reset()
    stock, copy = network.extract(name), network.extract(name)
    works: dict[str, Work] = {
        "net": partial(mode.program(network), images, name),
        "stock": partial(mode.program(stock), images),
        "copy": partial(mode.program(copy), images),
    }
    turn = sum(median(taken) for taken in interleaved(works, repeats=3).values())
    turns = min(max(int(budget / turn), FEWEST_TURNS), MOST_TURNS)
    seconds = interleaved(works, turns)
    facts = {"net": name, "batch": len(images), "mode": "compiled" if mode.compile else "eager", "turns": turns}
    control = ratio(seconds["copy"], seconds["stock"])["ratio"]
    measured = ratio(seconds["net"], seconds["stock"])
    return {**facts, "net_ms": 1e3 * median(seconds["net"]), **measured, "control": control}


def weight_rows(network: DepthDynamicNetwork) -> list[dict[str, Any]]:
    """Memory of the network with all its nets, and of its full net alone."""
    full = network[network.full]
    kinds = {
        "parameters": (network.parameters(), full.parameters()),
        "parameters and buffers": (tensors(network), tensors(full)),
    }
    rows = [(kind, size(own), size(alone)) for kind, (own, alone) in kinds.items()]
    return [
        {"what": kind, "network_mib": own / MIB, "full_mib": alone / MIB, "ratio": own / alone}
        for kind, own, alone in rows
    ]


def tensors(model: nn.Module) -> list[Tensor]:
    """All parameters and buffers."""
    return [*model.parameters(), *model.buffers()]


def size(held: Iterable[Tensor]) -> int:
    """Bytes of the storages that these tensors stand on, each counted once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in held}
    return sum(storages.values())


if __name__ == "__main__":
    run(main)
