"""Which runs a comparison needs, and that they differ in nothing but the method."""

from dataclasses import asdict

import pytest
import torch

import ddnn
from ddnn.comparison.methods import Task, config_of, cut_out, needed_by, plan, pruned
from ddnn.config import METHODS, CompareConfig, TrainConfig

NAMES = ("resnet8", "resnet14", "resnet20")


def test_every_run_is_planned_once_and_after_what_it_needs() -> None:
    tasks = plan(CompareConfig(methods=list(METHODS), seeds=[3, 1]), NAMES)
    assert len(tasks) == len(set(tasks)) == 2 * (3 + 2 + 6)
    assert [task.seed for task in tasks] == [3] * 11 + [1] * 11
    for place, task in enumerate(tasks):
        needed = needed_by(task, NAMES)
        assert needed is None or needed in tasks[:place]
    assert len({task.path for task in tasks}) == len(tasks)


def test_pruned_brings_the_full_net_that_it_cuts() -> None:
    tasks = plan(CompareConfig(methods="pruned", seeds="0"), NAMES)
    assert tasks == [Task("alone", 0, "resnet20"), Task("pruned", 0, "resnet8"), Task("pruned", 0, "resnet14")]


@pytest.mark.parametrize("method", METHODS)
def test_runs_differ_in_nothing_but_the_method(method: str) -> None:
    train = TrainConfig(
        epochs=20, lr=0.07, batch_size=32, clip=1.0, label_smoothing=0.1, subnets_per_step=1, private_norms=True,
        subnets_from=0.1, subnets_ramp=0.2, loss_weights="sum",
    )  # fmt: skip
    config = CompareConfig(methods=method, seeds="5", finetune=0.25, train=train)
    of_several = {"subnets_per_step", "subnets_from", "subnets_ramp", "loss_weights"}
    allowed = {"seed", "objective", "full", "subnets", "private_norms"} | of_several
    allowed |= {"epochs"} if method == "pruned" else set()
    for task in plan(config, NAMES):
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
