"""What one EKD step costs, against the stock models' own steps, with torch's optimizer and with ours.

python benchmarks/train_step.py [--full resnet34 --subnets resnet18 --side 96 --batch 16 --repeats 9]
"""

from functools import partial

import torch
from jsonargparse import auto_cli
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

import ddnn
from ddnn.config import TrainConfig
from ddnn.objectives import EKD
from ddnn.optimization import make_optimizer
from timing import Work, interleaved, ratio, report, spread


def main(
    full: str = "resnet34",
    subnets: tuple[str, ...] = ("resnet18",),
    side: int = 96,
    batch: int = 16,
    repeats: int = 9,
    classes: int = 100,
    device: str = "cpu",
) -> None:
    """Print medians and ratios of whole training steps: forward, backward and optimizer.

    Args:
        full: the full net.
        subnets: its sub-nets.
        side: of the images, in pixels.
        batch: images in a batch.
        repeats: turns that count.
        classes: outputs.
        device: cpu or cuda.
    """
    images = torch.randn(batch, 3, side, side, device=device)
    labels = torch.randint(classes, (batch,), device=device)
    network = ddnn.build(full, subnets, num_classes=classes).to(device).train()
    objective = EKD()
    alone = {name: network.extract(name) for name in network.names}
    stock = {name: default_sgd(model) for name, model in alone.items()}
    fused = {name: make_optimizer(model, TrainConfig()) for name, model in alone.items()}
    joint = make_optimizer(network, TrainConfig())

    def ekd_step() -> None:
        step(objective(network.forward_all(images), labels).total, joint)

    def stock_step(name: str, optimizer: Optimizer) -> None:
        step(functional.cross_entropy(alone[name](images), labels), optimizer)

    works: dict[str, Work] = {"EKD, all nets": ekd_step}
    works |= {f"{name}, torch's SGD": partial(stock_step, name, stock[name]) for name in network.names}
    works |= {f"{name}, fused SGD": partial(stock_step, name, fused[name]) for name in network.names}
    seconds = interleaved(works, repeats)
    rows = [{"step": name, **spread(times)} for name, times in seconds.items()]
    machine = f"{device}, {torch.get_num_threads()} threads"
    title = f"{full} with {', '.join(subnets)}, {side}x{side}, batch {batch}, {machine}"
    report(title, ["step", "median_ms", "low_ms", "high_ms"], rows)
    together = seconds["EKD, all nets"]
    with_default = [seconds[f"{name}, torch's SGD"] for name in network.names]
    with_fused = [seconds[f"{name}, fused SGD"] for name in network.names]
    ratios = [
        {"EKD step over": "sum of the stock steps, torch's SGD", "value": ratio(together, *with_default)},
        {"EKD step over": "sum of the stock steps, fused SGD as in EKD's", "value": ratio(together, *with_fused)},
        {"EKD step over": "the full net's stock step, fused SGD", "value": ratio(together, with_fused[-1])},
    ]
    report("ratios", ["EKD step over", "value"], ratios)


def default_sgd(model: nn.Module) -> Optimizer:
    """SGD as torchvision's reference training has it: torch's default implementation, everything decays."""
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True, weight_decay=5e-4)


def step(loss: Tensor, optimizer: Optimizer) -> None:
    """Backward and update."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


if __name__ == "__main__":
    auto_cli(main)
