"""The optimizer and the learning-rate schedule of a run, from its configuration."""

from collections.abc import Callable
from math import cos, pi

import torch
from torch import nn, optim
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer

from ddnn.config import TrainConfig


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """All parameters once, in two groups: the weights of layers, which decay, and what does not.

    Norms and biases do not (He et al., arXiv 1812.01187, section 3.1, "no bias decay"), nor do gains, class tokens and
    position embeddings, whatever their shape.
    """
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[_is_weight(name) and parameter.ndim > 1].append(parameter)
    return [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}]


def _is_weight(name: str) -> bool:
    """Whether a parameter is called `weight`, or like attention's `in_proj_weight`.

    >>> [_is_weight(name) for name in ("fc.weight", "conv.parametrizations.weight.original", "norm.layer_scale")]
    [True, True, False]
    """
    *path, own = name.split(".")
    if "parametrizations" in path[-2:]:  # torch.nn.utils.parametrize
        own = path[-1]
    return own == "weight" or own.endswith("_weight")


def make_optimizer(model: nn.Module, config: TrainConfig) -> Optimizer:
    """SGD with Nesterov momentum, or AdamW; fused into one kernel where torch can.

    On two CPU cores, the fused step of ResNet-34 takes 9 ms and torch's default 44 ms (docs/experiments.md).
    Lightning cannot clip gradients for a fused optimizer that is also given scaled ones, and torch has no fused step
    for weights that are divided among processes.
    """
    groups = parameter_groups(model, config.weight_decay)
    devices = {parameter.device.type for parameter in model.parameters()}
    divided = any(isinstance(parameter, DTensor) for parameter in model.parameters())
    scaled = config.clip is not None and config.precision == "16-mixed"
    fused = devices <= {"cpu", "cuda"} and not divided and not scaled
    if config.optimizer == "adamw":
        return _clippable(optim.AdamW(groups, lr=config.peak_lr, fused=fused), config)
    sgd = optim.SGD(groups, lr=config.peak_lr, momentum=config.momentum, nesterov=config.momentum > 0, fused=fused)
    if config.momentum > 0:
        _begin_momentum(sgd)
    return _clippable(sgd, config)


def _clippable(optimizer: Optimizer, config: TrainConfig) -> Optimizer:
    """Let Lightning clip in bfloat16 too, where it takes a fused optimizer for one that is given scaled gradients."""
    if config.precision == "bf16-mixed":
        optimizer._step_supports_amp_scaling = False  # type: ignore[attr-defined]  # torch sets it on fused ones
    return optimizer


def _begin_momentum(optimizer: Optimizer) -> None:
    """Begin with a momentum of zero, which gives the same first step.

    torch begins a parameter's momentum at its first gradient, and its fused step (seen in 2.15) fails where that comes
    to some parameters later than to others, as to those of nets that are not drawn in each step.
    """
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def schedule(config: TrainConfig, steps_per_epoch: int) -> Callable[[int], float]:
    """The factor on the peak learning rate at each step: a linear warm-up, then a cosine to zero or a drop at each
    milestone.

    The cosine is that of SGDR without restarts (Loshchilov and Hutter, arXiv 1608.03983).
    """
    warmup = min(config.warmup_epochs, config.epochs / 2) * steps_per_epoch
    total = config.epochs * steps_per_epoch

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if config.schedule == "cosine":
            return 0.5 * (1 + cos(pi * min(1.0, (step - warmup) / max(1.0, total - warmup))))
        return config.gamma ** sum(step >= total * share for share in config.milestones)

    return factor
