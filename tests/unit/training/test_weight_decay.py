"""Layers' weights decay; norms, biases, gains, tokens and position embeddings do not, whatever their shape."""

import ddnn
from ddnn.config import TrainConfig
from ddnn.training.optimization import make_optimizer


def undecayed(network: ddnn.DepthDynamicNetwork) -> tuple[set[str], set[str]]:
    """Names of the parameters that do not decay, and of those that do."""
    groups = make_optimizer(network, TrainConfig(weight_decay=0.1)).param_groups
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    found = [{names[id(parameter)] for parameter in group["params"]} for group in groups]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0]
    assert found[0] | found[1] == set(names.values())
    assert sum(len(group["params"]) for group in groups) == len(names)
    return found[1], found[0]


def test_gains_of_convnext_do_not_decay() -> None:
    kept, decayed = undecayed(ddnn.build("convnext_tiny", {"half": (1, 1, 3, 1)}, num_classes=10))
    assert sum("layer_scale" in name for name in kept) == 18
    assert not any("layer_scale" in name for name in decayed)
    assert any(name.endswith("block.0.weight") for name in decayed)


def test_tokens_and_positions_of_vit_do_not_decay() -> None:
    kept, decayed = undecayed(ddnn.build("vit_b_32", {"half": (6,)}, num_classes=10))
    assert {"class_token", "pos_embedding"} <= {name.rpartition(".")[2] for name in kept}
    assert any(name.endswith("in_proj_weight") for name in decayed)


def test_parts_of_parameters_decay_once() -> None:
    kept, decayed = undecayed(ddnn.build("densenet121", {"small": (2, 2, 2, 2)}, num_classes=10))
    assert any("conv" in name for name in decayed)
    assert not any("norm" in name for name in decayed)
    assert not any("conv" in name for name in kept)
