"""Scores against NumPy on outputs that are known."""

import numpy as np
import pytest
import torch

import ddnn
from ddnn.errors import DataError
from ddnn.measuring.evaluation import evaluate
from ddnn.measuring.intervals import wilson_interval


def test_scores_are_those_of_separate_passes() -> None:
    torch.manual_seed(0)
    network = ddnn.build("resnet14", ["resnet8"], num_classes=4).train()
    batches = [(torch.randn(n, 3, 16, 16), torch.randint(4, (n,))) for n in (8, 8, 5)]
    before = {key: value.clone() for key, value in network.state_dict().items()}
    scores = evaluate(network, batches)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    network.eval()
    for name, score in scores.items():
        with torch.no_grad():
            logits = torch.cat([network(images, name) for images, _ in batches]).double().numpy()
        labels = torch.cat([labels for _, labels in batches]).numpy()
        assert score.accuracy == pytest.approx((logits.argmax(1) == labels).mean())
        log_posterior = logits - np.log(np.exp(logits).sum(1, keepdims=True))
        assert score.nll == pytest.approx(-log_posterior[np.arange(21), labels].mean(), rel=1e-5)
        confidence, right = np.exp(log_posterior).max(1), logits.argmax(1) == labels
        bins = np.clip(np.ceil(confidence * 15).astype(int) - 1, 0, 14)
        error = sum(abs(right[bins == b].mean() - confidence[bins == b].mean()) * (bins == b).mean() for b in set(bins))
        assert score.calibration_error == pytest.approx(error, abs=1e-5)
        assert score.images == 21


def test_wilson_interval_holds_the_share_and_stays_in_range() -> None:
    assert wilson_interval(0, 10)[0] == pytest.approx(0, abs=1e-12)
    assert wilson_interval(10, 10)[1] == pytest.approx(1)
    low, high = wilson_interval(81, 263)  # the textbook value, to three places
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="no image"):
        evaluate(ddnn.build("resnet8", num_classes=2), [])


def test_figures_of_each_class_are_those_of_separate_passes() -> None:
    torch.manual_seed(1)
    network = ddnn.build("resnet14", ["resnet8"], num_classes=5).eval()
    batches = [(torch.randn(n, 3, 16, 16), torch.randint(3, (n,))) for n in (8, 5)]  # two classes do not occur
    labels = torch.cat([labels for _, labels in batches]).numpy()
    for name, score in evaluate(network, batches).items():
        with torch.no_grad():
            said = torch.cat([network(images, name) for images, _ in batches]).argmax(1).numpy()
        recalls = []
        for label, each in enumerate(score.classes):
            there, claimed, right = labels == label, said == label, (labels == label) & (said == label)
            assert (each.name, each.support) == (str(label), there.sum())
            assert each.recall == (pytest.approx(right.sum() / there.sum()) if there.any() else None)
            assert each.precision == (pytest.approx(right.sum() / claimed.sum()) if claimed.any() else None)
            recalls += [right.sum() / there.sum()] if there.any() else []
        assert score.balanced_accuracy == pytest.approx(np.mean(recalls))
