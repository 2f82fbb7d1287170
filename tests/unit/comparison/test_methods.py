"""Which runs a comparison needs, and that they differ in nothing but the method."""

from dataclasses import asdict, replace

import pytest
import torch

import ddnn
from ddnn.comparison.methods import Epochs, Task, config_of, cut_out, plan, pruned
from ddnn.config import METHODS, CompareConfig, TrainConfig
from ddnn.errors import DDNNError

NAMES = ("resnet8", "resnet14", "resnet20")


def planned(config: CompareConfig, epochs: Epochs | None = None) -> list[Task]:
    same = dict.fromkeys(config.method_list, config.train.epochs)
    return plan(config, NAMES, same if epochs is None else epochs)


def test_every_run_is_planned_once_and_after_what_it_needs() -> None:
    tasks = planned(CompareConfig(methods=list(METHODS), seeds=[3, 1]))
    assert len(tasks) == len(set(tasks)) == 2 * (3 + 2 + 6)
    assert [task.seed for task in tasks] == [3] * 11 + [1] * 11
    for place, task in enumerate(tasks):
        assert task.after is None or task.after in tasks[:place]
    assert len({task.path for task in tasks}) == len({task.key for task in tasks}) == len(tasks)


def test_pruned_brings_the_full_net_that_it_cuts() -> None:
    tasks = planned(CompareConfig(methods="pruned", seeds="0"))
    assert tasks == [Task("alone", 0, "resnet20"), Task("pruned", 0, "resnet8"), Task("pruned", 0, "resnet14")]


@pytest.mark.parametrize("method", METHODS)
def test_runs_differ_in_nothing_but_the_method(method: str) -> None:
    train = TrainConfig(
        epochs=20, lr=0.07, batch_size=32, clip=1.0, label_smoothing=0.1, subnets_per_step=1, private_norms=True,
        subnets_from=0.1, subnets_ramp=0.2, loss_weights="sum", zero_init=True,
    )  # fmt: skip
    config = CompareConfig(methods=method, seeds="5", finetune=0.25, train=train)
    of_several = {"subnets_per_step", "subnets_from", "subnets_ramp", "loss_weights"}
    allowed = {"seed", "objective", "full", "subnets", "private_norms"} | of_several
    allowed |= {"epochs"} if method == "pruned" else set()
    for task in planned(config):
        own = config_of(task, config)
        assert (own.subnets_from, own.subnets_ramp) == ((0.1, 0.2) if task.method in ("joint", "ekd") else (0, 0))
        differing = {key for key, value in asdict(own).items() if value != asdict(train)[key]}
        assert differing <= allowed
        assert own.seed == 5
        assert own.epochs == (5 if task.method == "pruned" else 20)
        assert own.objective == (method if task.net is None else "joint")


def test_a_net_that_is_cut_out_has_its_own_copy_of_the_weights() -> None:
    network = ddnn.build("resnet20", ["resnet8"], num_classes=10).eval()
    images = torch.randn(2, 3, 32, 32)
    single = cut_out(network, "resnet8")
    assert single.names == ("resnet8",)
    assert torch.equal(single(images), network(images, "resnet8"))
    with torch.no_grad():
        next(single.parameters()).zero_()
    assert bool(next(network.parameters()).any())


def test_a_pruned_net_has_the_first_blocks_and_statistics_of_the_images() -> None:
    full = ddnn.build("resnet20", num_classes=10)
    batches = [torch.randn(8, 3, 32, 32) for _ in range(3)]
    single = pruned(full, "resnet8", (1, 1, 1), batches)
    for name, parameter in single["resnet8"].named_parameters():
        assert torch.equal(parameter, full["resnet20"].get_parameter(name))
    norm = single["resnet8"].get_submodule("layer2.0.bn1")
    assert isinstance(norm, torch.nn.BatchNorm2d)
    assert norm.num_batches_tracked is not None
    assert int(norm.num_batches_tracked) == len(batches)
    assert not torch.equal(norm.running_mean, torch.zeros_like(norm.running_mean))  # type: ignore[arg-type]


def test_a_method_changes_what_it_says_and_nothing_else() -> None:
    config = CompareConfig(methods="ekd:teacher=mean:lr=1e-2:augment.erase=0.1", seeds="0")
    (task,) = planned(config)
    own, plain = config_of(task, config), TrainConfig(seed=0)
    assert (own.ekd.teacher, own.lr, own.augment.erase) == ("mean", 0.01, 0.1)
    assert own == replace(
        plain, ekd=replace(plain.ekd, teacher="mean"), lr=0.01, augment=replace(plain.augment, erase=0.1)
    )
    assert task.path.name == "seed0"
    assert ":" not in str(task.path) + task.key


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ("ekd:techer=mean", "cannot change 'techer'; did you mean ekd.teacher"),
        ("ekd:teacher=nxt", "ekd:teacher=nxt: ekd.teacher must be"),
        ("ekd:teacher", "changes nothing; write a key and a value"),
        ("ekd:epochs=3", "cannot change 'epochs'"),
        ("joint:train_images=9", "cannot change 'train_images'"),
        ("ekd@money", "names no budget; Allowed: epochs, steps, compute"),
        ("ekd:alpha=1:alpha=2", "changes ekd.alpha twice"),
        ("ekd,ekd", "ekd is given twice"),
    ],
)
def test_a_method_that_cannot_be_is_refused(methods: str, message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        CompareConfig(methods=methods)


def test_pruned_of_a_longer_training_cuts_its_own_full_net() -> None:
    config = CompareConfig(methods="pruned", seeds="0", budget="compute")
    tasks = planned(config, {config.method_list[0]: 150})
    assert [(str(task), task.epochs, task.after) for task in tasks] == [
        ("pruned@compute resnet20, seed 0", 150, None),
        ("pruned@compute resnet8, seed 0", 45, tasks[0]),
        ("pruned@compute resnet14, seed 0", 45, tasks[0]),
    ]


def test_every_budget_is_a_row_but_alone_has_one() -> None:
    config = CompareConfig(methods="alone,ekd", budget="epochs,compute")
    assert [str(method) for method in config.method_list] == ["alone", "ekd", "ekd@compute"]
