"""The objectives against the formula of the design, written out."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from ddnn.config import EKDConfig
from ddnn.distillation import attention_map
from ddnn.errors import DDNNError
from ddnn.objectives import EKD, Joint, Objective
from ddnn.shared_prefix import Output

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
