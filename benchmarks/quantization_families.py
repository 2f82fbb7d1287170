"""What int8 gives in each family: one weight file over the full net's own, and time over the float net's.

python benchmarks/quantization_families.py [--families resnet34,vit_b_32 --seconds 5]

Networks with fresh weights, whose nets have seen noise in training mode, so that their running statistics differ. So
there are sizes and times here, and no accuracies; `difference` is that of int8 logits to float ones, over their spread.
"""

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

import ddnn
from command import run as start
from ddnn.deployment import export_onnx
from ddnn.deployment.quantization.float_net import FloatNet
from ddnn.deployment.quantization.forms import write_graphs
from ddnn.deployment.quantization.scheme import Scheme
from ddnn.deployment.quantization.trials import Trials, caller
from ddnn.network import DepthDynamicNetwork
from ddnn_runtime.latency import interleaved_for, latencies
from ddnn_runtime.manifest import INPUT
from ddnn_runtime.sessions import open_session
from reporting import Report


@dataclass(frozen=True)
class Example:
    """A network of a family.

    Args:
        subnets: of the full net.
        side: of images, in pixels.
        options: of the family.
    """

    subnets: Any
    side: int
    options: dict[str, Any] = field(default_factory=dict)


EXAMPLES: dict[str, Example] = {
    "resnet20": Example(["resnet8", "resnet14"], 32),
    "resnet56": Example(["resnet20", "resnet32", "resnet44"], 32),
    "wrn28": Example(["wrn16", "wrn22"], 32),
    "cifar_vgg13_bn": Example(["cifar_vgg11_bn"], 32),
    "densenet100_bc": Example(["densenet40_bc"], 32),
    "resnet34": Example(["resnet18"], 96),
    "resnet101": Example(["resnet50"], 96),
    "densenet169": Example(["densenet121"], 96),
    "convnext_small": Example(["convnext_tiny"], 96),
    "swin_s": Example(["swin_t"], 96),
    "swin_v2_s": Example(["swin_v2_t"], 96),
    "vit_b_32": Example({"half": (6,)}, 224),
}


def main(families: str | None = None, seconds: float = 5.0, output: str | None = None) -> None:
    """Print a row for each full net.

    Args:
        families: names of full nets with commas between them; all by default.
        seconds: for the time of each.
        output: a JSON file for the result.
    """
    report = Report("What does int8 give in each family?", output)
    wanted = list(EXAMPLES) if families is None else families.split(",")
    report.table("all blocks in int8, one image, one thread", [_row(full, EXAMPLES[full], seconds) for full in wanted])


def _row(full: str, example: Example, seconds: float) -> dict[str, Any]:
    network = _seasoned(ddnn.build(full, example.subnets, num_classes=100, **example.options), example.side)
    images = torch.randn(16, 3, example.side, example.side)
    with TemporaryDirectory() as folder:
        export = export_onnx(network, Path(folder, "fp32"), images[:2], pieces=False).manifest
        assert export.weights is not None
        nets = {
            name: FloatNet.open(
                name,
                Path(folder, "fp32", net.graph.file),
                network.family.steps(network.depths[name]),
                [images.numpy()],
                Scheme(),
            )
            for name, net in export.nets.items()
        }
        trials = Trials(nets, [(images.numpy(), np.zeros(len(images), dtype=np.int64))], threads=1)
        stage = Path(folder, "int8")
        stage.mkdir()
        weights = write_graphs(trials, stage, trials.blocks)
        before = open_session(nets[full].graph.SerializeToString(), 1)
        after = open_session(str(stage / f"{full}.onnx"), 1)
        calls = {"float": caller(before, trials.example), "int8": caller(after, trials.example)}
        times = latencies(interleaved_for(calls, seconds), "float")
        reference, found = (session.run(None, {INPUT: images.numpy()})[0] for session in (before, after))
    return {
        "full net": full,
        "with": ", ".join(network.subnet_names),
        "blocks": len(trials.blocks),
        "MB": weights.all_nets / 1e6,
        "over the full net's": weights.all_nets / weights.full_net,
        "over float": weights.all_nets / export.weights.bytes,
        "graphs, MB": weights.graphs / 1e6,
        "float, ms": times["float"].median_ms,
        "int8, ms": times["int8"].median_ms,
        "of float": times["int8"].ratio,
        "difference": float(np.sqrt(((found - reference) ** 2).mean()) / reference.std()),
    }


@torch.no_grad()
def _seasoned(network: DepthDynamicNetwork, side: int) -> DepthDynamicNetwork:
    """With running statistics of its own in each net, and norm weights of both signs."""
    for name, parameter in network.named_parameters():
        if parameter.ndim == 1 and name.endswith("weight"):
            parameter.mul_(torch.randn_like(parameter).sign() * (0.5 + torch.rand_like(parameter)))
        elif not parameter.any():  # as the heads of vision transformers start
            parameter.normal_(std=0.02)
    network.train()
    for _ in range(3):
        for name in network.names:
            network(_noise(side), name)
    return network.eval()


def _noise(side: int) -> Tensor:
    return torch.randn(8, 3, side, side)


if __name__ == "__main__":
    start(main)
