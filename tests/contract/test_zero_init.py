"""Branches that start at zero make all nets of a network one function, in every family that has branches."""

import pytest
import torch

import ddnn
from ddnn.comparison.methods import cut_out
from ddnn.data import open_data
from ddnn.families import REGISTRY, Family
from ddnn.training.setup import make_network
from tests.contract.pairs import small_network
from tests.contract.timm_pairs import TimmPair

WITHOUT_BRANCHES = {"vgg", "vgg_bn", "cifar_vgg", "densenet", "cifar_densenet"}

WIDE = {"wide_resnet", "vit_l_16", "vit_l_32"}
"""Of which narrower ones of the same blocks are always tested."""


def check_one_function(network: ddnn.DepthDynamicNetwork, images: torch.Tensor) -> None:
    """All nets give the same in evaluation mode, and their branches can learn."""
    with torch.no_grad():
        network.eval()
        for name, output in network.forward_all(images).items():
            torch.testing.assert_close(output.logits, network(images), rtol=1e-5, atol=1e-5, msg=name)
    network.train().requires_grad_(True)
    network.forward_all(images)[network.full].logits.square().sum().backward()
    zeros = [parameter for parameter in network.parameters() if parameter.grad is not None and not parameter.any()]
    assert zeros
    assert any(bool(parameter.grad.any()) for parameter in zeros if parameter.grad is not None)


@pytest.mark.parametrize(
    "family",
    [
        pytest.param(family, id=name, marks=pytest.mark.slow if name in WIDE else ())
        for name, family in REGISTRY.items()
    ],
)
def test_all_nets_of_a_family_start_as_one_function(family: Family) -> None:
    if family.name in WITHOUT_BRANCHES:
        with torch.device("meta"):
            model = family.build(next(iter(family.members.values())), 7, 3, family.parse_options({}))
        with pytest.raises(ddnn.DDNNError, match=f"not possible for {family.name}: .*no residual branches; leave it"):
            family.zero_branches(model)
        return
    network, images = small_network(family)
    for module in network.modules():
        if isinstance(module, torch.nn.Linear) and not module.weight.any():
            torch.nn.init.normal_(module.weight)  # a head that starts at zero would hide what comes before it
    family.zero_branches(network[network.full])
    check_one_function(network, images)


def test_of_timm_what_timm_calls_so() -> None:
    pytest.importorskip("timm")
    pair = TimmPair("resnet34", "resnet18", options={"channels": (16, 32, 64, 128), "zero_init_last": False})
    torch.manual_seed(0)
    network = ddnn.build("timm/resnet34", ["resnet18"], num_classes=7, zero_init=True, **pair.options)
    check_one_function(network, pair.images())
    with pytest.raises(ddnn.DDNNError, match="zero_init is not possible for timm"):
        ddnn.build("timm/mobilenetv3_small_050", num_classes=7, zero_init=True)


def test_private_norms_start_as_one_function_too() -> None:
    network = ddnn.build("resnet20", ["resnet8"], num_classes=7, private_norms=True, zero_init=True)
    check_one_function(network, torch.randn(2, 3, 32, 32))


def test_all_other_weights_are_those_of_the_same_seed() -> None:
    built = []
    for zero_init in (False, True):
        torch.manual_seed(0)
        built.append(ddnn.build("resnet20", ["resnet8"], num_classes=7, zero_init=zero_init).tensors())
    differing = {name for name, tensor in built[0].items() if not torch.equal(tensor, built[1][name])}
    assert differing == {name for name in built[0] if name.endswith("bn2.weight")}


def test_a_net_trained_alone_starts_so_too() -> None:
    config = ddnn.TrainConfig(zero_init=True)
    alone = cut_out(make_network(config, open_data(config, 0)), "resnet8")
    assert not any(alone["resnet8"].get_parameter(f"layer{stage}.0.bn2.weight").any() for stage in (1, 2, 3))


def test_loaded_weights_are_not_replaced() -> None:
    with pytest.raises(ddnn.DDNNError, match="zero_init and weights exclude each other"):
        ddnn.build("resnet34", num_classes=7, weights="IMAGENET1K_V1", zero_init=True)
    with pytest.raises(ddnn.DDNNError, match="zero_init and weights exclude each other"):
        ddnn.TrainConfig(full="resnet34", subnets="", weights="IMAGENET1K_V1", zero_init=True)
    with pytest.raises(ddnn.DDNNError, match="subnets, weights and zero_init are keys of their own"):
        ddnn.TrainConfig(model_options={"zero_init": True})


def test_of_a_model_of_ones_own_it_is_not_known() -> None:
    blocks = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 3, 1))
    model = torch.nn.Sequential(blocks, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    network = ddnn.from_model(model, ["0"], {"half": (1,)}, example=torch.zeros(2, 3, 8, 8))
    with pytest.raises(ddnn.DDNNError, match="Sequential: it is not known where its residual branches end"):
        network.family.zero_branches(network[network.full])
