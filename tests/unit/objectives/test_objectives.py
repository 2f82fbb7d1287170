"""The objectives against the formula of the design, written out."""

from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch.nn import functional

from ddnn.config import EKDConfig, TrainConfig
from ddnn.errors import DDNNError
from ddnn.network.lanes import Output
from ddnn.objectives import (
    EKD,
    PARTNER,
    TEACHER,
    AdaptiveDepth,
    Cooperative,
    Inplace,
    Joint,
    Objective,
    Sampled,
    SubnetRamp,
    make_objective,
)
from ddnn.objectives.distillation import adaptive_divergence, attention_map

LABELS = torch.tensor([0, 2, 1, 1])


@pytest.fixture
def outputs() -> dict[str, Output]:
    generator = torch.Generator().manual_seed(0)

    def net() -> Output:
        logits = torch.randn(4, 3, generator=generator, requires_grad=True)
        features = [torch.randn(4, c, s, s, generator=generator, requires_grad=True) for c, s in ((2, 8), (5, 4))]
        return Output(logits, tuple(features))

    return {"small": net(), "middle": net(), "full": net()}


def by_hand(outputs: dict[str, Output], config: EKDConfig) -> float:
    full, total = outputs["full"], functional.cross_entropy(outputs["full"].logits, LABELS).item()
    for name in ("small", "middle"):
        student = outputs[name]
        p = (full.logits / config.temperature).softmax(1)
        q = (student.logits / config.temperature).softmax(1)
        divergence = config.temperature**2 * (p * (p / q).log()).sum(1).mean().item()
        attention = sum(
            (attention_map(a) - attention_map(b)).square().mean().item()
            for a, b in zip(student.features, full.features, strict=True)
        )
        own = functional.cross_entropy(student.logits, LABELS).item()
        total += (own + config.alpha * divergence + config.beta * attention) / 2
    return total


def test_ekd_is_the_formula(outputs: dict[str, Output]) -> None:
    config = EKDConfig(alpha=0.7, beta=0.3, temperature=2.0)
    assert EKD(config)(outputs, LABELS).total.item() == pytest.approx(by_hand(outputs, config), rel=1e-5)


def test_joint_is_ekd_without_a_teacher(outputs: dict[str, Output]) -> None:
    expected = by_hand(outputs, EKDConfig(alpha=0, beta=0))
    assert Joint()(outputs, LABELS).total.item() == pytest.approx(expected, rel=1e-6)
    assert EKD(EKDConfig(alpha=0, beta=0))(outputs, LABELS).total.item() == pytest.approx(expected, rel=1e-6)


def test_the_teacher_learns_from_labels_alone(outputs: dict[str, Output]) -> None:
    EKD(EKDConfig(alpha=5, beta=5))(outputs, LABELS).total.backward()
    full = outputs["full"]
    expected = torch.autograd.grad(functional.cross_entropy(full.logits, LABELS), full.logits)[0]
    assert full.logits.grad is not None
    torch.testing.assert_close(full.logits.grad, expected)
    assert all(feature.grad is None for feature in full.features)
    assert all(feature.grad is not None for feature in outputs["small"].features)


def test_every_part_is_named_and_unweighted(outputs: dict[str, Output]) -> None:
    one = EKD(EKDConfig(alpha=1, beta=1))(outputs, LABELS).parts
    other = EKD(EKDConfig(alpha=9, beta=9))(outputs, LABELS).parts
    kinds = {"ce": ["small", "middle", "full"], "kl": ["small", "middle"], "attention": ["small", "middle"]}
    assert set(one) == {f"{kind}/{name}" for kind, names in kinds.items() for name in names}
    assert all(torch.equal(one[name], other[name]) and not one[name].requires_grad for name in one)


def test_options(outputs: dict[str, Output]) -> None:
    config = EKDConfig(alpha=1, beta=1)

    def total(**changes: object) -> float:
        return EKD(replace(config, **changes))(outputs, LABELS, epoch=1.0).total.item()  # type: ignore[arg-type]

    joint = Joint()(outputs, LABELS).total.item()
    assert total(ramp_epochs=4) - joint == pytest.approx((total() - joint) / 4, rel=1e-5)
    assert total(ramp_epochs=1) == total()
    assert total(attention_stages=1) < total()
    assert total(attention="square") != total()
    mean_logits = torch.stack([output.logits for output in outputs.values()]).mean(0)
    p, q = (mean_logits / 3).softmax(1), (outputs["small"].logits / 3).softmax(1)
    part = EKD(replace(config, teacher="mean"))(outputs, LABELS).parts["kl/small"]
    assert part.item() == pytest.approx(9 * (p * (p / q).log()).sum(1).mean().item(), rel=1e-5)


@pytest.mark.parametrize("epoch", [0.0, 1.0, 7.0])
def test_the_epoch_may_be_a_tensor(outputs: dict[str, Output], epoch: float) -> None:
    objective = EKD(EKDConfig(alpha=1, beta=1, ramp_epochs=4))
    as_number, as_tensor = (objective(outputs, LABELS, given).total for given in (epoch, torch.tensor(epoch)))
    torch.testing.assert_close(as_number, as_tensor)


@pytest.mark.parametrize("objective", [Joint(), EKD(EKDConfig(alpha=1, beta=1))])
def test_the_loss_on_drawn_nets_is_that_on_all_of_them_on_average(
    outputs: dict[str, Output], objective: Objective
) -> None:
    drawn = [
        objective({name: outputs[name] for name in (subnet, "full")}, LABELS).total for subnet in ("small", "middle")
    ]
    torch.testing.assert_close(torch.stack(drawn).mean(), objective(outputs, LABELS).total)


def test_a_small_divergence_survives_half_precision(outputs: dict[str, Output]) -> None:
    full = outputs["full"]
    student = Output((full.logits + 0.1 * outputs["small"].logits).bfloat16(), full.features)
    halved = {"small": student, "full": Output(full.logits.bfloat16(), full.features)}
    same_in_single = {name: Output(output.logits.float(), output.features) for name, output in halved.items()}
    parts, expected = (EKD()(nets, LABELS).parts["kl/small"] for nets in (halved, same_in_single))
    torch.testing.assert_close(parts, expected)


def test_label_smoothing_reaches_every_net(outputs: dict[str, Output]) -> None:
    part = Joint(label_smoothing=0.2)(outputs, LABELS).parts["ce/small"]
    expected = functional.cross_entropy(outputs["small"].logits, LABELS, label_smoothing=0.2)
    assert part.item() == pytest.approx(expected.item())


def test_a_full_net_alone_has_its_cross_entropy(outputs: dict[str, Output]) -> None:
    alone = {"full": outputs["full"]}
    expected = functional.cross_entropy(outputs["full"].logits, LABELS).item()
    assert EKD()(alone, LABELS).total.item() == pytest.approx(expected)


@pytest.mark.parametrize("wrong", [{"alpha": -1}, {"beta": -1}, {"temperature": 0}, {"attention_stages": 0}])
def test_refuses_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(DDNNError, match=next(iter(wrong))):
        EKDConfig(**wrong)  # type: ignore[arg-type]


def entropies(outputs: dict[str, Output]) -> dict[str, float]:
    return {name: functional.cross_entropy(output.logits, LABELS).item() for name, output in outputs.items()}


def divergence(teacher: Output, student: Output) -> float:
    p, q = teacher.logits.softmax(1), student.logits.softmax(1)
    return (p * (p / q).log()).sum(1).mean().item()


def test_loss_weights_go_before_all_that_a_net_adds(outputs: dict[str, Output]) -> None:
    ce = entropies(outputs)
    weights = {"small": 2.0, "full": 3.0}
    expected = 3 * ce["full"] + 2 * ce["small"] + ce["middle"] / 2
    assert Joint(loss_weights=weights)(outputs, LABELS).total.item() == pytest.approx(expected, rel=1e-6)
    kl = {name: divergence(outputs["full"], outputs[name]) for name in ("small", "middle")}
    expected += 0.7 * (2 * kl["small"] + kl["middle"] / 2)
    config = EKDConfig(alpha=0.7, beta=0, temperature=1.0)
    assert EKD(config, loss_weights=weights)(outputs, LABELS).total.item() == pytest.approx(expected, rel=1e-5)


def test_inplace_teaches_sub_nets_by_the_posterior_alone(outputs: dict[str, Output]) -> None:
    expected = entropies(outputs)["full"] + sum(
        divergence(outputs["full"], outputs[name]) for name in ("small", "middle")
    )
    loss = Inplace()(outputs, LABELS)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert set(loss.parts) == {"ce/full", "kl/small", "kl/middle"}


def test_adaptive_depth_is_half_and_half(outputs: dict[str, Output]) -> None:
    pair = {"small": outputs["small"], "full": outputs["full"]}
    expected = (entropies(pair)["full"] + divergence(pair["full"], pair["small"])) / 2
    assert AdaptiveDepth()(pair, LABELS).total.item() == pytest.approx(expected, rel=1e-5)


def test_sampled_is_the_cross_entropy_of_the_one_net(outputs: dict[str, Output]) -> None:
    one = {"middle": outputs["middle"]}
    assert Sampled()(one, LABELS).total.item() == pytest.approx(entropies(one)["middle"], rel=1e-6)


def test_cooperative_networks_teach_each_other_and_their_sub_nets(outputs: dict[str, Output]) -> None:
    generator = torch.Generator().manual_seed(1)
    logits = {name: torch.randn(4, 3, generator=generator, requires_grad=True) for name in outputs}
    partner = {name: Output(value, ()) for name, value in logits.items()}

    def one(own: dict[str, Output], other: dict[str, Output]) -> float:
        ce = entropies(own)
        taught = [ce[name] + divergence(own["full"], own[name]) for name in ("small", "middle")]
        return ce["full"] + divergence(other["full"], own["full"]) + sum(taught) / 2

    loss = Cooperative()({PARTNER + name: output for name, output in partner.items()} | outputs, LABELS)
    assert loss.total.item() == pytest.approx(one(outputs, partner) + one(partner, outputs), rel=1e-5)


@pytest.mark.parametrize("objective", [Inplace(), AdaptiveDepth(), EKD(EKDConfig(alpha=2, beta=2))])
def test_no_objective_with_a_teacher_lets_the_full_net_learn_from_its_sub_nets(
    outputs: dict[str, Output], objective: Objective
) -> None:
    objective(outputs, LABELS).total.backward()
    gradient = outputs["full"].logits.grad
    assert gradient is not None
    own = torch.autograd.grad(functional.cross_entropy(outputs["full"].logits, LABELS), outputs["full"].logits)[0]
    torch.testing.assert_close(gradient, own / 2 if isinstance(objective, AdaptiveDepth) else own)


@pytest.mark.parametrize("name", get_args(get_type_hints(TrainConfig)["objective"]))
def test_every_objective_of_the_configuration_can_be_made(name: Any) -> None:
    assert isinstance(make_objective(TrainConfig(objective=name)), Objective)


def test_the_average_teaches_the_full_net_too(outputs: dict[str, Output]) -> None:
    average = Output(torch.randn(4, 3, generator=torch.Generator().manual_seed(2)), ())
    kl = {name: divergence(average, output) for name, output in outputs.items()}
    expected = Joint()(outputs, LABELS).total.item() + 0.7 * (kl["full"] + (kl["small"] + kl["middle"]) / 2)
    objective = EKD(EKDConfig(alpha=0.7, beta=0, temperature=1.0, teacher="average", decay=0.9))
    loss = objective({TEACHER: average} | outputs, LABELS)
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert set(loss.parts) == {f"{kind}/{name}" for kind in ("ce", "kl") for name in outputs}
    assert objective.learns_from_average(("small", "full"))
    assert not EKD().learns_from_average(("small", "full"))
    with pytest.raises(DDNNError, match="the teacher average needs its output under 'teacher/average'"):
        objective(outputs, LABELS)


def test_the_average_may_leave_the_full_net_to_the_labels(outputs: dict[str, Output]) -> None:
    average = Output(torch.randn(4, 3, generator=torch.Generator().manual_seed(2)), ())
    config = EKDConfig(alpha=0.7, beta=0, temperature=1.0, teacher="average")
    both, labels_alone = (
        EKD(replace(config, teach_full=on))({TEACHER: average} | outputs, LABELS) for on in (True, False)
    )
    assert set(both.parts) - set(labels_alone.parts) == {"kl/full"}
    assert (both.total - labels_alone.total).item() == pytest.approx(
        0.7 * divergence(average, outputs["full"]), rel=1e-4
    )
    objective = EKD(replace(config, teach_full=False))
    assert not objective.learns_from_average(("full",))
    torch.testing.assert_close(
        objective({"full": outputs["full"]}, LABELS).total, Joint()({"full": outputs["full"]}, LABELS).total
    )


@pytest.mark.parametrize(
    ("memory", "steps", "decay"), [(0.13, 78, 0.90138), (0.13, 390, 0.98028), (0.13, 30, 0.8), (2.0, 10, 0.95)]
)
def test_a_memory_in_epochs_is_a_decay_for_so_many_steps(memory: float, steps: int, decay: float) -> None:
    assert EKD(EKDConfig(memory=memory)).teacher_decay(steps) == pytest.approx(decay, abs=1e-5)
    assert EKD(EKDConfig(decay=0.5)).teacher_decay(steps) == 0.5


def test_the_next_deeper_net_teaches_posteriors_and_the_full_net_attention(outputs: dict[str, Output]) -> None:
    config = EKDConfig(alpha=0.7, beta=0.2, temperature=1.0, teacher="next")
    loss = EKD(config)(outputs, LABELS)
    assert loss.parts["kl/small"].item() == pytest.approx(divergence(outputs["middle"], outputs["small"]), rel=1e-5)
    assert loss.parts["kl/middle"].item() == pytest.approx(divergence(outputs["full"], outputs["middle"]), rel=1e-5)
    assert "kl/full" not in loss.parts
    by_full = EKD(replace(config, teacher="full"))(outputs, LABELS).parts
    assert all(torch.equal(loss.parts[name], by_full[name]) for name in by_full if name.startswith("attention/"))
    taught = EKD(replace(config, beta=0))(outputs, LABELS).total - Joint()(outputs, LABELS).total
    small, middle, full = (
        torch.autograd.grad(taught, outputs[name].logits, retain_graph=True)[0] for name in ("small", "middle", "full")
    )
    p, q = outputs["full"].logits.softmax(1), outputs["middle"].logits.softmax(1)
    torch.testing.assert_close(middle, 0.7 / 2 * (q - p) / 4)  # as a student alone: it is detached where it teaches
    assert small.any()
    assert not full.any()


def test_the_adaptive_divergence_takes_the_place_of_kl(outputs: dict[str, Output]) -> None:
    config = EKDConfig(alpha=0.7, beta=0, temperature=2.0, divergence="alpha", clip_ratio=3.0)
    loss = EKD(config)(outputs, LABELS)
    full = outputs["full"].logits
    parts = {name: adaptive_divergence(outputs[name].logits, full, 2.0, 3.0).item() for name in ("small", "middle")}
    assert {name: loss.parts[f"alpha/{name}"].item() for name in parts} == pytest.approx(parts)
    expected = Joint()(outputs, LABELS).total.item() + 0.7 * sum(parts.values()) / 2
    assert loss.total.item() == pytest.approx(expected, rel=1e-5)
    assert not any(name.startswith("kl/") for name in loss.parts)


def test_the_rules_of_loss_weights(outputs: dict[str, Output]) -> None:
    ce = entropies(outputs)
    assert Joint(loss_weights="sum")(outputs, LABELS).total.item() == pytest.approx(sum(ce.values()), rel=1e-6)
    assert Joint(loss_weights="mean")(outputs, LABELS).total.item() == Joint()(outputs, LABELS).total.item()
    ones = dict.fromkeys(outputs, 1.0)
    by_rule, by_name = (EKD(loss_weights=weights)(outputs, LABELS).total for weights in ("sum", ones))
    assert torch.equal(by_rule, by_name)


@pytest.mark.parametrize(("epoch", "share"), [(0.0, 0.0), (2.0, 0.0), (3.0, 0.25), (6.0, 1.0), (9.0, 1.0)])
def test_the_ramp_weighs_all_that_sub_nets_add(outputs: dict[str, Output], epoch: float, share: float) -> None:
    average = {TEACHER: Output(torch.randn(4, 3, generator=torch.Generator().manual_seed(2)), ())}
    config, ramp = EKDConfig(alpha=0.7, beta=0.3, teacher="average"), SubnetRamp(2.0, 4.0)
    whole, full = (
        EKD(config, loss_weights="sum")(average | nets, LABELS).total.item()
        for nets in (outputs, {"full": outputs["full"]})
    )
    for given in (epoch, torch.tensor(epoch)):
        loss = EKD(config, loss_weights="sum", subnet_ramp=ramp)(average | outputs, LABELS, given)
        assert loss.total.item() == pytest.approx(full + share * (whole - full), rel=1e-5)
    ce = entropies(outputs)
    loss = Joint(subnet_ramp=ramp)(outputs, LABELS, epoch)
    assert loss.total.item() == pytest.approx(ce["full"] + share * (ce["small"] + ce["middle"]) / 2, rel=1e-6)
