"""Against the figures that torchvision publishes with its weights."""

import pytest
import torchvision

from ddnn.families import REGISTRY
from ddnn.profiling import family_costs


@pytest.mark.parametrize("name", [n for f in REGISTRY.values() for n in f.members if hasattr(torchvision.models, n)])
def test_costs_are_torchvisions(name: str) -> None:
    family = next(family for family in REGISTRY.values() if name in family.members)
    published = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"].meta
    cost = family_costs(family)[name]
    assert cost.parameters == published["num_params"]
    assert cost.macs / 1e9 == pytest.approx(published["_ops"], rel=0.01)  # called GFLOPS there, counted as MACs
