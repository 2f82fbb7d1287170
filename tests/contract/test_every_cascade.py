"""A cascade gives what its nets give one by one, in every family."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import ddnn
from tests.contract.pairs import ONE_A_FAMILY, Pair

IMAGES = 5
WIDE = ("wide_resnet", "vgg", "vgg_bn")
"""Families of 100 million weights, whose steps are those of a lighter one that is always tested: on demand."""


def _params() -> Iterator[Any]:
    for param in ONE_A_FAMILY:
        (pair,) = param.values
        wide = isinstance(pair, Pair) and pair.family.name in WIDE
        yield pytest.param(pair, id=param.id, marks=pytest.mark.slow if wide else param.marks)


def sureness(logits: Tensor) -> Tensor:
    """Confidence whatever the scale of the logits, which in nets that were not trained may be so large that every
    softmax is 1."""
    return (logits / logits.std()).softmax(dim=1).amax(dim=1)


def build(pair: Pair) -> ddnn.DepthDynamicNetwork:
    """A network away from initial values that make all answers alike, such as scales and heads of zeros."""
    network = pair.build().eval()
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network


@torch.no_grad()
@pytest.mark.parametrize("pair", _params())
def test_a_cascade_is_its_nets_one_by_one(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddnn.network.cascade.confidence", sureness)
    network, x = build(pair), pair.images(IMAGES)
    calls: Counter[nn.Module] = Counter()
    for module in network.modules():
        module.register_forward_hook(lambda module, *_: calls.update([module]))
    shallow = network(x, pair.subnet)
    calls.clear()
    deep, alone = network(x), dict(calls)
    ordered, places = sureness(shallow).sort()
    sure = places[3:].sort().values
    calls.clear()
    output = network.cascade(x, {pair.subnet: float(ordered[2] + ordered[3]) / 2})

    assert (output.answered_by == 0).nonzero().flatten().tolist() == sure.tolist()
    expected = deep.clone()
    expected[sure] = shallow[sure]
    apart = float((expected - expected.mean(dim=0)).abs().max())
    torch.testing.assert_close(output.logits, expected, rtol=0, atol=1e-2 * apart)
    common = set(network[pair.subnet].modules()) & set(network[pair.full].modules())
    assert {module: calls[module] for module in common} == {module: alone.get(module, 0) for module in common}
    check_segments(network)


def check_segments(network: ddnn.DepthDynamicNetwork) -> None:
    """Each net's segments follow one another and hold all of its steps."""
    pieces = network.segments()
    for name in network.names:
        path = [piece for piece in pieces if name in piece.nets]
        assert [piece.source for piece in path] == [None, *(piece.index for piece in path[:-1])]
        assert [piece.leaf for piece in path] == [None] * (len(path) - 1) + [name]
        if network.shares_prefix:
            steps = [step.key for piece in path for step in piece.steps]
            assert steps == [step.key for step in network.family.steps(network.depths[name]) or []]
            assert len(path) > 1, "the stem at least is common"
