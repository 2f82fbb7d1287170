"""Codes that are shared, and logits that stay near, in families that are made of other things than plain convolutions.

`tests/end_to_end/test_quantize.py` has a ResNet. Logits are compared on noise, with norm weights of both signs.
"""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from ddnn.deployment import export_onnx
from ddnn.deployment.quantization.float_net import FloatNet
from ddnn.deployment.quantization.forms import write_graphs
from ddnn.deployment.quantization.scheme import Scheme
from ddnn.deployment.quantization.trials import Trials
from ddnn.families import REGISTRY, Family
from ddnn_runtime.sessions import open_session
from tests.contract.pairs import small_network

QUICK = ("cifar_densenet",)  # its nets have parts of the full net's weights


@pytest.mark.parametrize("name", QUICK)
def test_nets_share_their_codes(name: str, tmp_path: Path) -> None:
    check(REGISTRY[name], tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in REGISTRY if name not in QUICK])
def test_nets_share_their_codes_in_every_family(name: str, tmp_path: Path) -> None:
    check(REGISTRY[name], tmp_path)


def check(family: Family, folder: Path) -> None:
    network, given = small_network(family)
    images = torch.cat([given, given.flip(0, 3)])
    with torch.no_grad():  # statistics that differ between the nets, norm weights of both signs
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.mul_(torch.randn_like(module.weight).sign())
        network.train().forward_all(images)
    network.eval()
    export = export_onnx(network, folder / "fp32", images, pieces=False).manifest
    nets = {
        name: FloatNet.open(
            name,
            folder / "fp32" / net.graph.file,
            family.steps(network.depths[name]),
            [images.numpy()],
            Scheme(),
        )
        for name, net in export.nets.items()
    }
    trials = Trials(nets, [(images.numpy(), np.zeros(len(images), dtype=np.int64))], threads=1)
    (folder / "int8").mkdir()
    weights = write_graphs(trials, folder / "int8", trials.blocks)
    assert weights.all_nets <= 1.03 * weights.full_net
    assert set(trials.blocks) <= {step.key for step in family.steps(network.depths["full"]) or []}
    for name, net in nets.items():
        expected = open_session(net.graph.SerializeToString(), 1).run(None, {"images": images.numpy()})[0]
        actual = open_session(str(folder / "int8" / f"{name}.onnx"), 1).run(None, {"images": images.numpy()})[0]
        # random weights average noise out less than trained ones do; of a wrong graph nothing would be left
        assert np.linalg.norm(actual - expected) <= 0.15 * np.linalg.norm(expected)
        graph = onnx.load(folder / "int8" / f"{name}.onnx").graph
        floats = [one for one in graph.initializer if one.data_type == onnx.TensorProto.FLOAT and len(one.dims) == 4]
        assert not [one.name for one in floats if one.name.endswith("weight")]
