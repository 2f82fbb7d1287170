"""Views: who sees what, and that the loss of a step is that of both lessons."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

import ddnn
from ddnn.config import AugmentConfig, EKDConfig, TrainConfig
from ddnn.objectives import EKD, Joint, Objective, make_objective
from ddnn.objectives.distillation import posterior_divergence
from ddnn.training.averaged_teacher import AveragedTeacher
from ddnn.training.draw import Lesson, alternating
from ddnn.training.lessons import StepPlan, plan_step
from ddnn.training.step import TrainingStep, added
from ddnn.training.views import Seen, draw_side, look, resized
from tests.unit.training.test_step import Counting, counting, unchecked  # noqa: F401

NAMES = ("resnet8", "resnet14", "resnet20")
CONFIG = TrainConfig(subnet_sizes=[12, 8], subnet_size_share=0.5, seed=3)
EPOCH = torch.tensor(1.0)


def batch(seed: int = 0, size: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(size, 3, 16, 16, generator=generator), torch.randint(10, (size,), generator=generator)


@pytest.fixture
def network() -> ddnn.DepthDynamicNetwork:
    torch.manual_seed(0)
    return ddnn.build("resnet20", ["resnet8", "resnet14"], num_classes=10).train()


def loss_of(step: TrainingStep, seen: Seen, objective: Objective):
    due = [alternating(NAMES, turn, objective.full_teaches) for turn in (0, 1)]
    return added([step(*seen.by(lesson), EPOCH, *lesson) for lesson in due])


def planned(config: TrainConfig, step: int, epoch: int = 1, names: tuple[str, ...] = NAMES) -> StepPlan:
    return plan_step(names, config, make_objective(config), epoch, step, 200)


def test_all_nets_see_the_batch_unless_something_is_asked_for() -> None:
    images, labels = batch()
    seen = look((images, labels), None)
    assert seen.full[0] is images
    assert seen.subnets is None
    assert planned(TrainConfig(), 0) == StepPlan((Lesson(NAMES),))


def test_sub_nets_see_a_smaller_image_in_a_share_of_the_steps() -> None:
    images, labels = batch()
    widths = []
    for step in range(200):
        seen = look((images, labels), planned(CONFIG, step).side)
        assert seen.full[0] is images
        widths.append(16 if seen.subnets is None else seen.subnets[0].shape[-1])
    assert 70 < widths.count(16) < 130
    assert 30 < widths.count(12) < 70
    again = [draw_side([12, 8], 0.5, 3, 1, step) or 16 for step in range(200)]
    assert widths == again != [draw_side([12, 8], 0.5, 3, 2, step) or 16 for step in range(200)]


def test_a_weak_view_is_what_is_made_smaller() -> None:
    images, labels = batch()
    weak, plain = batch(1)
    seen = look((images, labels, weak, plain), 8)
    assert seen.subnets is not None
    assert torch.equal(seen.subnets[1], plain)
    torch.testing.assert_close(seen.subnets[0].mean((2, 3)), weak.mean((2, 3)), atol=0.05, rtol=0)
    flat = torch.full((1, 3, 16, 16), 0.7)
    torch.testing.assert_close(resized(flat, 8), flat[..., :8, :8])


def test_a_step_without_sub_nets_is_one_lesson() -> None:
    always = replace(CONFIG, subnet_size_share=1.0)
    assert len(planned(always, 0).lessons) == 2
    assert planned(always, 0, names=("resnet20",)).lessons == (Lesson(("resnet20",)),)


@pytest.mark.parametrize("teacher", ["none", "full", "average"])
def test_the_loss_is_that_of_each_net_on_what_it_sees(network: ddnn.DepthDynamicNetwork, teacher: str) -> None:
    images, labels = batch()
    shares = functional.one_hot(labels, 10).float().lerp(functional.one_hot(labels.roll(1), 10).float(), 0.3)
    weak, plain = resized(batch(1)[0], 12), labels
    config = EKDConfig(alpha=0.7, beta=0.0, temperature=2.0, teacher="average" if teacher == "average" else "full")
    objective = Joint() if teacher == "none" else EKD(config)
    averaged = AveragedTeacher(network, 0.9).train() if teacher == "average" else None

    nets, expected = deepcopy(network), torch.zeros(())
    logits = nets(images)
    expected = functional.cross_entropy(logits, shares)
    of_weak = nets(weak).detach()
    if averaged is not None:
        expected = expected + 0.7 * posterior_divergence(logits, averaged(images), 2.0)
        of_weak = averaged(weak)
    for name in NAMES[:-1]:
        own = nets(weak, name)
        expected = expected + functional.cross_entropy(own, plain) / 2
        expected = expected + (0 if teacher == "none" else 0.7 * posterior_divergence(own, of_weak, 2.0)) / 2
    expected.backward()

    loss = loss_of(TrainingStep(network, objective, teacher=averaged), Seen((images, shares), (weak, plain)), objective)
    loss.total.backward()
    torch.testing.assert_close(loss.total, expected)
    torch.testing.assert_close(loss.parts["ce/resnet20"], functional.cross_entropy(logits, shares).detach())
    for (name, ours), (_, theirs) in zip(network.named_parameters(), nets.named_parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-3, atol=1e-5, msg=name)


@pytest.mark.parametrize("objective", [Joint(label_smoothing=0.2), EKD(EKDConfig(alpha=1.0), label_smoothing=0.2)])
def test_labels_are_smoothed_for_the_full_net_alone(network: ddnn.DepthDynamicNetwork, objective: Objective) -> None:
    images, labels = batch()
    loss = TrainingStep(network, objective, smooth_subnets=False)(images, labels, EPOCH, NAMES)
    both, neither = (
        TrainingStep(deepcopy(network), replace(objective, label_smoothing=smoothing))(images, labels, EPOCH, NAMES)
        for smoothing in (0.2, 0.0)
    )
    assert loss.parts.keys() == both.parts.keys()
    for name, part in loss.parts.items():
        torch.testing.assert_close(part, (both if name == "ce/resnet20" else neither).parts[name], msg=name)
    difference = both.parts["ce/resnet20"] - neither.parts["ce/resnet20"]
    torch.testing.assert_close(loss.total, neither.total + difference)


def test_without_label_smoothing_it_does_not_matter_whose_it_is(network: ddnn.DepthDynamicNetwork) -> None:
    images, labels = batch()
    objective = EKD(EKDConfig(alpha=1.0, beta=0.1, teacher="mean"))
    one = TrainingStep(deepcopy(network), objective)(images, labels, EPOCH, NAMES)
    other = TrainingStep(network, objective, smooth_subnets=False)(images, labels, EPOCH, NAMES)
    torch.testing.assert_close(one.total, other.total)
    torch.testing.assert_close(one.parts, other.parts)


def test_each_size_is_one_program_without_a_break(network: ddnn.DepthDynamicNetwork, counting: Counting) -> None:  # noqa: F811
    counter = counting("eager")
    objective = EKD(EKDConfig(alpha=1.0, beta=0.0))
    step = TrainingStep(network, objective, compile=True, smooth_subnets=False)
    images, labels = batch()
    for side in (None, 12, 8, 12, None, 8, 12):
        loss_of(step, Seen((images, labels), None if side is None else (resized(images, side), labels)), objective)
    assert counter.frame_count == 4  # all nets; the full net alone; the sub-nets at each of two sizes


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"subnet_sizes": [8], "objective": "inplace"}, "subnet_sizes goes with the objectives ekd and joint, not"),
        ({"full_dropout": 0.2, "objective": "adn"}, "full_dropout goes with the objectives"),
        ({"label_smoothing_on": "full", "objective": "sampled"}, "label_smoothing_on goes with the objectives"),
        (
            {"subnet_sizes": [8], "full_dropout": 0.1, "strategy": "fsdp"},
            "fsdp does not go with subnet_sizes, full",
        ),
        (
            {"augment": AugmentConfig(erase=0.1, subnets="weak"), "strategy": "fsdp"},
            "fsdp does not go with augment",
        ),
        ({"subnet_sizes": []}, "subnet_sizes must be different sides of 4 to 4096 pixels, not \\[\\]"),
        ({"subnet_sizes": [8, 8]}, "subnet_sizes must be different sides"),
        ({"subnet_size_share": 0.0}, "subnet_size_share must be in \\(0, 1\\], not 0.0"),
        ({"full_dropout": 1.0}, "full_dropout must be in \\[0, 1\\), not 1.0"),
        ({"subnet_sizes": [80], "augment": AugmentConfig(sizes={0: 128})}, "subnet_sizes and augment.sizes exclude"),
        (
            {"subnet_sizes": [8, 12], "subnets_per_step": 3, "compile": True, "subnets": "a,b,c,d,e,f"},
            "each of the 20 sets of 3 out of 6 sub-nets and each of 3 image sizes",
        ),
    ],
)
def test_what_cannot_be_is_refused(keys: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TrainConfig(**keys)  # type: ignore[arg-type]
