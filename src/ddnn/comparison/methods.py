"""What is compared: which runs each method needs, and what each of them trains.

All methods train the same nets with the same seeds, order of images, augmentation, epochs, schedule and optimizer, and
start from the same weights: a net that is trained alone starts as the sub-net that it is in the full net.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ddnn.config import CompareConfig, TrainConfig
from ddnn.network import DepthDynamicNetwork


@dataclass(frozen=True)
class Task:
    """One training run of a comparison.

    Args:
        method: which method it belongs to.
        seed: of the run.
        net: the one net that is trained; None trains all in one network.
    """

    method: str
    seed: int
    net: str | None = None

    @property
    def path(self) -> Path:
        """The run directory, within the results folder."""
        return Path("runs", self.method, self.net or "", f"seed{self.seed}")

    def __str__(self) -> str:
        return f"{self.method}{f' {self.net}' if self.net else ''}, seed {self.seed}"


def tasks_of(method: str, seed: int, names: Sequence[str]) -> list[Task]:
    """The runs that give a method's figures for all nets, those that others need first.

    Args:
        method: its name.
        seed: of all its runs.
        names: of the nets, the full net last.

    Example:
        >>> [str(task) for task in tasks_of("pruned", 0, ["resnet8", "resnet20"])]
        ['alone resnet20, seed 0', 'pruned resnet8, seed 0']
    """
    *subnets, full = names
    if method == "alone":
        return [Task(method, seed, name) for name in (full, *subnets)]
    if method == "pruned":
        return [Task("alone", seed, full), *(Task(method, seed, name) for name in subnets)]
    return [Task(method, seed)]


def plan(config: CompareConfig, names: Sequence[str]) -> list[Task]:
    """All runs of a comparison, each once, seed by seed, so that a comparison that is cut short has whole seeds."""
    tasks = (
        task for seed in config.seed_list for method in config.method_list for task in tasks_of(method, seed, names)
    )
    return list(dict.fromkeys(tasks))


def needed_by(task: Task, names: Sequence[str]) -> Task | None:
    """The run that must be complete before this one: a pruned net is cut from the full net trained alone."""
    return Task("alone", task.seed, names[-1]) if task.method == "pruned" else None


def config_of(task: Task, config: CompareConfig) -> TrainConfig:
    """The configuration of one run."""
    shared = replace(config.train, seed=task.seed)
    if task.net is not None:
        of_several = dict.fromkeys(("subnets_per_step", "loss_weights", "private_norms", "weights"))
        shared = replace(shared, objective="joint", full=task.net, subnets=[], **of_several)
        if task.method == "pruned":
            shared = replace(shared, epochs=max(1, round(config.finetune * shared.epochs)))
        return shared
    if task.method not in ("joint", "ekd"):
        shared = replace(shared, subnets_per_step=None, loss_weights=None, alternate=False)
    objective: Any = task.method
    return replace(shared, objective=objective)


def cut_out(network: DepthDynamicNetwork, name: str) -> DepthDynamicNetwork:
    """A network of one net of another, with a copy of its weights."""
    return DepthDynamicNetwork(
        network.family,
        (name, network.depths[name]),
        network.extract(name),
        num_classes=network.num_classes,
        in_channels=network.in_channels,
        options=network.options,
        data_spec=network.data_spec,
    )


def pruned(full: DepthDynamicNetwork, name: str, depth: tuple[int, ...], batches: Iterable[Any]) -> DepthDynamicNetwork:
    """A trained full net without its last blocks of each stage, its running statistics set anew on `batches`."""
    full.add_subnet(name, depth, calibrate_with=batches)
    return cut_out(full, name)
