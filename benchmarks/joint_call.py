"""When does one call for the blocks of two nets pay, as against one call for each? It sets `WEIGHTS_PER_VALUE`.

python benchmarks/joint_call.py [--batch 16 --sides [64,96,160] --repeats 15]

What it costs to find out whether a joint call can pay, and to put it together from the nets, is part of the one call,
for training spends it in each step.
"""

from itertools import product
from typing import Any, Literal
from unittest.mock import patch

import torch
from torch import Tensor

import ddnn
import ddnn.network.joint_call as engine
from command import run
from ddnn.families import Step
from reporting import Report
from timing import Work, interleaved, ratio

STAGES = (2, 3, 4)


def main(
    batch: int = 16,
    sides: tuple[int, ...] = (64, 96, 160),
    repeats: int = 15,
    device: Literal["cpu", "cuda"] = "cpu",
    output: str | None = None,
) -> None:
    """Print the time of a ResNet-34's second block in each stage in one call over the time in two.

    Args:
        batch: images in a batch.
        sides: of the images that the nets would have, in pixels.
        repeats: turns that count.
        device: cpu or cuda.
        output: a JSON file for the result.
    """
    network = ddnn.build("resnet34", {"small": (1, 2, 2, 2)}).to(device).train()
    with patch.object(engine, "WEIGHTS_PER_VALUE", 0):  # join everywhere, also where the rule would not
        rows = [
            compare(network, stage, batch, side // 2 ** (stage + 1), repeats, device)
            for side, stage in product(sides, STAGES)
        ]
    rows.sort(key=lambda row: row["weights per value"])
    title = f"one call over two, forward and backward, batch {batch}, {device}"
    Report(title, output).table(title, rows)


def compare(
    network: ddnn.DepthDynamicNetwork, stage: int, batch: int, side: int, repeats: int, device: str
) -> dict[str, Any]:
    """One block of both nets, in one call and in two."""
    path, channels = f"layer{stage}.1", 32 * 2**stage
    models = [network[name] for name in network.names]
    step = next(step for step in network.family.steps(network.depths[network.full]) or [] if step.key == path)
    values = [torch.randn(batch, channels, side, side, device=device, requires_grad=True) for _ in models]
    works: dict[str, Work] = {
        "one call": lambda: backward(together(step, models, values)),
        "two calls": lambda: backward([step.run(model, value) for model, value in zip(models, values, strict=True)]),
    }
    seconds = interleaved(works, repeats)
    weights = sum(parameter.numel() for parameter in models[0].get_submodule(path).parameters())
    facts = {"channels": channels, "pixels": f"{side}x{side}", "weights per value": weights / values[0].numel()}
    return facts | ratio(seconds["one call"], seconds["two calls"])


def together(step: Step, models: list[torch.nn.Module], values: list[Tensor]) -> list[Tensor]:
    """The step of all nets in one call, as training takes it."""
    assert engine.can_pay(step, models[0], values)
    outputs = engine.joint_call([step] * len(models), models, values)
    assert outputs is not None
    return outputs


def backward(outputs: list[Tensor]) -> None:
    """The gradients of all outputs, which is what costs."""
    torch.autograd.backward([output.sum() for output in outputs])


if __name__ == "__main__":
    run(main)
