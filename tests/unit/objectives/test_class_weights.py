"""Class weights in the cross-entropy of each objective."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from ddnn.config import TrainConfig
from ddnn.network.lanes import Output
from ddnn.objectives import PARTNER, TEACHER, Loss, make_objective
from ddnn.objectives.objective import cross_entropies
from ddnn.training.class_weights import weights_of_classes

WEIGHTS = torch.tensor([0.5, 1.0, 3.0])
LABELS = torch.tensor([0, 0, 2, 1])


def outputs(*names: str) -> dict[str, Output]:
    torch.manual_seed(0)
    return {name: Output(torch.randn(4, 3), (torch.randn(4, 2, 4, 4),)) for name in names}


def by_hand(logits: Tensor) -> float:
    posterior = logits.softmax(dim=1)
    each = [float(WEIGHTS[label]) * -float(posterior[row, label].log()) for row, label in enumerate(LABELS.tolist())]
    return sum(each) / len(each)


def loss_of(objective: str, weights: Tensor | None) -> Loss:
    seen = outputs("small", "full")
    if objective == "cooperative":
        seen = {PARTNER + name: output for name, output in outputs("small", "full").items()} | seen
    if objective == "ekd":
        seen = {TEACHER: outputs("teacher")["teacher"]} | seen
    return make_objective(TrainConfig(objective=objective)).weighing(weights)(seen, LABELS)  # type: ignore[arg-type]


@pytest.mark.parametrize("objective", ["ekd", "joint", "inplace", "adn", "sampled", "cooperative"])
def test_each_objective_weighs_its_cross_entropies_and_nothing_else(objective: str) -> None:
    plain, weighed = loss_of(objective, None), loss_of(objective, WEIGHTS)
    equal = loss_of(objective, torch.ones(3))
    assert torch.isclose(equal.total, plain.total)
    nets = outputs("small", "full")
    for name, part in weighed.parts.items():
        if name.startswith("ce/"):
            assert float(part) == pytest.approx(by_hand(nets[name.removeprefix("ce/").removeprefix(PARTNER)].logits))
        else:
            assert torch.equal(part, plain.parts[name])
    assert not torch.isclose(weighed.total, plain.total)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_as_shares_weigh_as_numbers_do_and_parts_add_up(smoothing: float) -> None:
    nets = outputs("net")
    whole = cross_entropies(nets, LABELS, smoothing, WEIGHTS)["ce/net"]
    shares = cross_entropies(nets, one_hot(LABELS, 3).float(), smoothing, WEIGHTS)["ce/net"]
    assert torch.isclose(whole, shares)
    logits = nets["net"].logits
    halves = [
        cross_entropies({"net": Output(logits[part], ())}, LABELS[part], smoothing, WEIGHTS)["ce/net"]
        for part in (slice(0, 2), slice(2, 4))
    ]
    assert torch.isclose(whole, torch.stack(halves).mean())


def test_balanced_weights_let_all_classes_count_the_same() -> None:
    counts = [60, 30, 10, 0]
    weights = weights_of_classes("balanced", ["a", "b", "c", "never"], counts)
    assert weights is not None
    assert [weight * count for weight, count in zip(weights, counts, strict=True)][:3] == pytest.approx([100 / 3] * 3)
    assert sum(weight * count for weight, count in zip(weights, counts, strict=True)) == pytest.approx(100)
    assert weights_of_classes("none", ["a"], [3]) is None
    assert weights_of_classes({}, ["a"], [3]) is None


def test_a_weight_of_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match=r"class_weights names 'lynks', which is no class here.*lynx"):
        weights_of_classes({"lynks": 2.0}, ["cat", "lynx"], [1, 1])
