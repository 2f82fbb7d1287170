"""Against the figures that torchvision publishes with its weights."""

from functools import cache

import pytest
import torchvision

from ddnn.commands.catalogue import catalogue
from ddnn.families import REGISTRY
from ddnn.measuring.macs import Cost, family_costs


@cache
def costs(family: str, side: int | None = None) -> dict[str, Cost]:
    """Of all members, which several tests need one of; at their usual size as in the catalogue, which another test
    holds equal to what is counted."""
    if side in (None, REGISTRY[family].default_input[1]):
        members = catalogue()[family]["members"]
        return {name: Cost(entry["parameters"], entry["macs"]) for name, entry in members.items()}
    return family_costs(REGISTRY[family], image_size=side)


@pytest.mark.parametrize("name", [n for f in REGISTRY.values() for n in f.members if hasattr(torchvision.models, n)])
def test_costs_are_torchvisions(name: str) -> None:
    family = next(family for family in REGISTRY.values() if name in family.members)
    weights = torchvision.models.get_model_weights(name)["IMAGENET1K_V1"]
    cost = costs(family.name, weights.transforms().crop_size[0])[name]
    assert cost.parameters == weights.meta["num_params"]
    assert cost.macs / 1e9 == pytest.approx(weights.meta["_ops"], rel=0.01)  # called GFLOPS there, counted as MACs


@pytest.mark.parametrize(
    ("name", "millions"),  # of the papers' tables: He et al., Zagoruyko and Komodakis (k = 4), Huang et al. (k = 12)
    [("resnet20", 0.27), ("resnet56", 0.85), ("resnet110", 1.7), ("wrn40", 8.9), ("densenet100_bc", 0.8)],
)
def test_parameters_of_the_cifar_nets_are_the_papers(name: str, millions: float) -> None:
    family = next(family for family in REGISTRY.values() if name in family.members)
    assert costs(family.name)[name].parameters / 1e6 == pytest.approx(millions, rel=0.05)
