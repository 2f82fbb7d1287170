"""What is compared: which runs each method needs, and what each of them trains.

All methods train the same nets with the same seeds, order of images, augmentation, epochs, schedule and optimizer, but
for what a method changes on purpose, and start from the same weights: a net that is trained alone starts as the sub-net
that it is in the full net.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ddnn.config import CompareConfig, Method, TrainConfig
from ddnn.network import DepthDynamicNetwork


@dataclass(frozen=True)
class Task:
    """One training run of a comparison.

    Args:
        method: which method it belongs to, as `str` of it.
        seed: of the run.
        net: the one net that is trained; None trains all in one network.
        epochs: how many it trains for.
        after: the run that must be complete before: a pruned net is cut from the full net trained alone.
    """

    method: str
    seed: int
    net: str | None = None
    epochs: int = field(default=1, compare=False)
    after: "Task | None" = field(default=None, compare=False)

    @property
    def key(self) -> str:
        """A name for files, such as `ekd+teacher=next-seed0`."""
        words = (self.method.replace(":", "+"), *([self.net] if self.net else []), f"seed{self.seed}")
        return "-".join(words)

    @property
    def path(self) -> Path:
        """The run directory, within the results folder."""
        return Path("runs", self.method.replace(":", "+"), self.net or "", f"seed{self.seed}")

    def __str__(self) -> str:
        return f"{self.method}{f' {self.net}' if self.net else ''}, seed {self.seed}"


Epochs = Mapping[Method, int]
"""How many epochs a method trains for; `ddnn.comparison.budgets` says why so many."""


def tasks_of(method: Method, seed: int, names: Sequence[str], epochs: int, finetune: float = 0.3) -> list[Task]:
    """The runs that give a method's figures for all nets, those that others need first.

    Args:
        method: which.
        seed: of all its runs.
        names: of the nets, the full net last.
        epochs: of its runs.
        finetune: of those, the share for which a pruned net is fine-tuned.

    Example:
        >>> [str(task) for task in tasks_of(Method("pruned"), 0, ["resnet8", "resnet20"], epochs=10)]
        ['alone resnet20, seed 0', 'pruned resnet8, seed 0']
    """
    *subnets, full = names
    if method.base == "alone":
        return [Task(str(method), seed, name, epochs) for name in (full, *subnets)]
    if method.base == "pruned":
        first = Task("alone" if method.is_plain else str(method), seed, full, epochs)
        tuned = max(1, round(finetune * epochs))
        return [first, *(Task(str(method), seed, name, tuned, after=first) for name in subnets)]
    return [Task(str(method), seed, None, epochs)]


def plan(config: CompareConfig, names: Sequence[str], epochs: Epochs) -> list[Task]:
    """All runs of a comparison, each once, seed by seed, so that a comparison that is cut short has whole seeds."""
    tasks = (
        task
        for seed in config.seed_list
        for method in config.method_list
        for task in tasks_of(method, seed, names, epochs[method], config.finetune)
    )
    return list(dict.fromkeys(tasks))


_FOR_OBJECTIVES = (
    "subnets_per_step", "subnets_from", "subnets_ramp", "subnet_sizes", "subnet_size_share", "loss_weights",
    "fork_gradients", "alternate", "full_dropout", "label_smoothing_on",
)  # fmt: skip
"""Keys that go with several nets and the objectives joint and ekd alone."""


def _as_by_default(config: TrainConfig, names: Iterable[str]) -> TrainConfig:
    """The configuration with these keys as they are where nobody says anything."""
    default = TrainConfig()
    augment = replace(config.augment, subnets=default.augment.subnets)
    changes: dict[str, Any] = {name: getattr(default, name) for name in names}
    return replace(config, augment=augment, **changes)


def config_of(task: Task, config: CompareConfig) -> TrainConfig:
    """The configuration of one run."""
    method = Method.parse(task.method)
    shared = replace(method.applied(config.train), seed=task.seed, epochs=task.epochs)
    if task.net is not None:
        alone = _as_by_default(shared, (*_FOR_OBJECTIVES, "private_norms", "weights"))
        return replace(alone, objective="joint", full=task.net, subnets=[])
    if method.base not in ("joint", "ekd"):
        shared = _as_by_default(shared, _FOR_OBJECTIVES)
    objective: Any = method.base
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
