"""What one EKD step costs, against the stock models' own steps one after the other.

python benchmarks/train_step.py [--full resnet34 --subnets resnet18 --side 96 --batch 16 --repeats 9]
"""

import torch
from jsonargparse import auto_cli
from torch import Tensor, nn
from torch.nn import functional

import ddnn
from ddnn.objectives import EKD
from timing import interleaved, ratio, report, spread


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
    optimizers = {name: sgd(model) for name, model in alone.items()}
    joint = sgd(network)

    def ekd_step() -> None:
        step(objective(network.forward_all(images), labels).total, joint)

    def stock_step(name: str) -> None:
        step(functional.cross_entropy(alone[name](images), labels), optimizers[name])

    works = {f"{name} alone": lambda name=name: stock_step(name) for name in network.names}
    seconds = interleaved({"EKD, all nets": ekd_step, **works}, repeats)
    together = seconds.pop("EKD, all nets")
    rows = [{"step": name, **spread(times)} for name, times in {"EKD, all nets": together, **seconds}.items()]
    title = (
        f"{full} with {', '.join(subnets)}, {side}x{side}, batch {batch}, {device}, {torch.get_num_threads()} threads"
    )
    report(title, ["step", "median_ms", "low_ms", "high_ms"], rows)
    ratios = [
        {"ratio": "EKD step over the sum of the stock steps", "value": ratio(together, *seconds.values())},
        {"ratio": "EKD step over the full net's stock step", "value": ratio(together, seconds[f"{full} alone"])},
    ]
    report("ratios", ["ratio", "value"], ratios)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """The optimizer of every step here."""
    return torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, nesterov=True)


def step(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    """Backward and update."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


if __name__ == "__main__":
    auto_cli(main)
