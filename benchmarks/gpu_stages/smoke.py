"""Does it work on this card at all: every family, in every format, compiled, as a CUDA graph, without waiting.

A family is represented by its smallest pair, that of the contract tests. What the CPU computes in float32 is the
reference for the loss and the gradients of EKD.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tests.contract.pair import small_network
from torch import Tensor
from torch.nn import functional

import ddnn
from ddnn import TrainConfig
from ddnn.config import EKDConfig
from ddnn.families import REGISTRY, Family
from ddnn.families.modes import in_mode
from ddnn.network import DepthDynamicNetwork
from ddnn.objectives import EKD
from ddnn.training.module import DepthDynamicTraining
from ddnn.training.step import TrainingStep
from gpu_stages.processes import norm_of_one, trains_together
from gpu_stages.record import Options, Record, Row
from gpu_stages.whole_step import WARM_UP, captured
from reporting import machine
from settings import Setting
from steps import Problem, ekd

STAGE = "smoke"
PAPER = EKDConfig(1.0, 0.0, 1.0)
IMAGES = 8
LEAST_COSINE = {"fp32": 0.999, "bf16": 0.8}
"""Of the gradients with those of the CPU."""
LARGEST_DIFFERENCE = {"fp32": 1e-3, "bf16": 0.05}
"""Of the loss, as a share of it; and of logits in evaluation mode, of the largest."""
TOY = Problem("resnet14", ("resnet8",), side=32, batch=16, classes=10)


def main(options: Options) -> None:
    """All checks, the short ones first."""
    record = Record(options, STAGE, machine())
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    device = options.setting.device
    record.measure("no step waits", partial(no_step_waits, options))
    record.measure("cuda graph", partial(same_in_a_graph, options.setting.device))
    for precision, clip in (("16-mixed", 1.0), ("16-mixed", None), ("bf16-mixed", 1.0)):
        clipped = "clipped" if clip else "not clipped"
        record.measure(f"{precision}, {clipped}", partial(trains, options, precision=precision, clip=clip))
    record.measure("processes, 1", partial(norm_of_one, device))
    families = [REGISTRY["cifar_resnet"]] if options.dry else list(REGISTRY.values())
    for family in families:
        record.measure(f"contract/{family.name}", partial(contract, family, device))
    record.measure("compiled once, in one graph", partial(compiles_once, device, options.dry), needs=15.0)
    modes = ("reduce-overhead",)
    for mode in () if options.dry else modes:
        record.measure(f"--compile {mode}", partial(trains, options, compile=mode), needs=15.0)
    record.measure("processes, 2", partial(trains_together, options, 2))
    record.measure("mps", partial(refused_or_trained, "mps"))


def contract(family: Family, device: str) -> Row:
    """Loss and gradients in three formats against the CPU, and `forward_all` against the separate calls."""
    network, few = small_network(family)
    images = torch.randn(IMAGES, *few.shape[1:], generator=torch.Generator().manual_seed(1))
    labels = torch.arange(len(images)) % network.num_classes
    expected, slopes = loss_and_gradient(deepcopy(network), images, labels, Setting())
    found: Row = {}
    for name, setting in formats(device).items():
        loss, gradient = loss_and_gradient(deepcopy(network), images, labels, setting)
        cosine = float(functional.cosine_similarity(gradient, slopes, dim=0))
        found[name] = {"loss": abs(loss - expected) / abs(expected), "cosine": cosine}
        found[name]["separate"] = separate_difference(deepcopy(network), images, setting)
    bad = [
        f"{name}: {figures}"
        for name, figures in found.items()
        for precision in ["bf16" if "bf16" in name else "fp32"]
        if not (
            figures["loss"] <= LARGEST_DIFFERENCE[precision]
            and figures["separate"] <= LARGEST_DIFFERENCE[precision]
            and figures["cosine"] >= LEAST_COSINE[precision]
        )
    ]
    if bad:
        raise AssertionError("; ".join(bad))
    return found


def formats(device: Any) -> dict[str, Setting]:
    """In which steps are taken."""
    return {
        "fp32": Setting(device),
        "bf16": Setting(device, "bf16"),
        "fp32, channels-last": Setting(device, channels_last=True),
        "bf16, channels-last": Setting(device, "bf16", channels_last=True),
    }


def loss_and_gradient(
    network: DepthDynamicNetwork, images: Tensor, labels: Tensor, setting: Setting
) -> tuple[float, Tensor]:
    """Of EKD in training mode; the gradient in one piece, on the CPU."""
    setting.place(network.train())
    objective = EKD(PAPER)

    def forward(batch: Tensor, numbers: Tensor) -> Tensor:
        return objective(network.forward_all(batch), numbers).total

    loss = setting.in_precision(forward)(setting.arrange(images.to(setting.device)), labels.to(setting.device))
    loss.backward()
    parts = [torch.zeros_like(own) if own.grad is None else own.grad for own in network.parameters()]
    return float(loss.detach()), torch.cat([part.double().cpu().flatten() for part in parts])


@torch.no_grad()
def separate_difference(network: DepthDynamicNetwork, images: Tensor, setting: Setting) -> float:
    """The largest difference of a logit between one call for all nets and one for each, over the largest logit."""
    setting.place(network)
    batch = setting.arrange(images.to(setting.device))
    with in_mode(network, training=False):
        together = setting.in_precision(network.forward_all)(batch)
        apart = {name: setting.in_precision(network)(batch, name) for name in network.names}
    return max(
        float((together[name].logits.float() - apart[name].float()).abs().max() / apart[name].float().abs().max())
        for name in network.names
    )


def same_in_a_graph(device: Any) -> Row:
    """So many steps in a CUDA graph, and eager, leave the same weights."""
    torch.manual_seed(0)
    setting, replays = Setting(device), 2
    eager, other = ekd(TOY, setting), ekd(TOY, setting)
    before = WARM_UP if device == "cuda" else 0
    other.data = eager.data
    for _ in range(before + replays):
        eager()
    graph = captured(other)
    for _ in range(replays):
        graph()
    one, two = (
        torch.cat([p.detach().flatten() for group in step.optimizer.param_groups for p in group["params"]])
        for step in (eager, other)
    )
    difference = float((one - two).norm() / one.norm())
    if difference > 1e-3:
        raise AssertionError(f"weights differ by {difference}")
    return {"difference": difference}


def no_step_waits(options: Options) -> Row:
    """An epoch of `ddnn train` in which a step that waits for the card is an error."""
    with _errors_where_a_step_waits(options.dry):
        return trains(options)


@contextmanager
def _errors_where_a_step_waits(dry: bool) -> Iterator[None]:
    """From the third step of an epoch to the last: the first ones make what libraries need."""
    plain = DepthDynamicTraining.training_step

    def watch(mode: str) -> None:
        if not dry:
            torch.cuda.set_sync_debug_mode(mode)

    def training_step(self: DepthDynamicTraining, batch: tuple[Tensor, Tensor], batch_index: int) -> Tensor:
        last = batch_index == int(self.trainer.num_training_batches) - 1
        watch("error" if self.current_epoch and batch_index > 1 and not last else "default")
        return plain(self, batch, batch_index)

    DepthDynamicTraining.training_step = training_step  # type: ignore[method-assign]
    try:
        yield
    finally:
        watch("default")
        DepthDynamicTraining.training_step = plain  # type: ignore[method-assign]


def trains(options: Options, **changes: Any) -> Row:
    """Two short epochs of `ddnn train` end with finite numbers."""
    if options.dry and changes.get("precision") == "16-mixed":
        return {"left out": "16-mixed needs CUDA"}
    return _trains(options.setting.device, images=32 if options.dry else 600, **changes)


def _trains(device: Any, images: int = 600, **changes: Any) -> Row:
    fixed: Any = {"full": "resnet14", "subnets": "resnet8", "epochs": 2, "train_images": images, "batch_size": 8}
    with tempfile.TemporaryDirectory() as folder:
        config = TrainConfig(**fixed, device=device, ekd=PAPER, output=str(Path(folder, "run")), **changes)
        run = ddnn.train(config, progress=False)
        (*_, last) = run.directory.read_metrics()
    return {name: float(last[name]) for name in ("train/loss", "seconds")}


def compiles_once(device: Any, dry: bool) -> Row:
    """The joint step as one program, that is not compiled again when the epoch goes on."""
    if dry:
        torch.compiler.set_stance("force_eager")  # compiling takes a minute on a CPU too
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    setting = Setting(device)
    network = setting.place(TOY.network().train())
    step, (images, labels) = TrainingStep(network, EKD(PAPER), compile=True), TOY.data(setting)
    for number in range(4):
        epoch = torch.full((), number / 4, device=device)
        step(images, labels, epoch, network.names).total.backward()
    counts: Mapping[str, Any] = torch._dynamo.utils.counters
    breaks, graphs = dict(counts["graph_break"]), int(counts["stats"]["unique_graphs"])
    if breaks or graphs != (0 if dry else 1):
        raise AssertionError(f"{graphs} graphs, with breaks {breaks}")
    return {"graphs": graphs, "graph_breaks": breaks}


def refused_or_trained(device: str) -> Row:
    """Where there is no such device, one message says so."""
    try:
        return _trains(device)
    except ddnn.DDNNError as error:
        return {"refused": str(error)}


if __name__ == "__main__":
    main(Options.parse())
