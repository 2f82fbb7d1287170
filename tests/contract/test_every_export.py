"""What holds for the export of every family, and of every pair on demand."""

from pathlib import Path

import numpy as np
import pytest
import torch

import ddnn
from ddnn.deployment import Runtime, export_onnx
from ddnn.families import REGISTRY, Family
from tests.contract.pairs import PAIRS, Pair, small_network
from tests.contract.timm_pairs import TimmPair

QUICK = {"cifar_densenet", "cifar_resnet", "cifar_vgg", "cifar_wide_resnet", "convnext", "swin", "vit_b_32"}
"""One of each kind; the others, of the same kinds and with up to 120 million parameters, on demand."""

FAMILIES = [
    pytest.param(family, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, family in REGISTRY.items()
]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_exports(family: Family, tmp_path: Path) -> None:
    network, images = small_network(family)
    check_export(network, images, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS)
def test_every_pair_exports(pair: Pair | TimmPair, tmp_path: Path) -> None:
    check_export(pair.build(), pair.images(), tmp_path)


def check_export(network: ddnn.DepthDynamicNetwork, images: torch.Tensor, folder: Path) -> None:
    with torch.no_grad():  # running statistics that differ between the nets
        network.train().forward_all(images)
    network.eval()
    export = export_onnx(network, folder / "export", images)
    assert export.difference <= 1e-4
    full = sum(t.numel() * t.element_size() for t in network[network.full].state_dict().values())
    weights = export.manifest.weights
    assert weights is not None
    assert weights.bytes <= 1.03 * full

    runtime = Runtime(folder / "export", threads=1)
    others = torch.randn(3, *images.shape[1:], generator=torch.Generator().manual_seed(2))
    for name in network.names:  # another batch size than that of the export
        with torch.no_grad():
            expected = network.extract(name).eval()(others).numpy()
        scale = max(1.0, float(np.abs(expected).max()))
        np.testing.assert_allclose(runtime(others.numpy(), name), expected, rtol=0, atol=1e-4 * scale)
        cascaded = runtime.cascade(others.numpy(), last=name)
        np.testing.assert_allclose(cascaded.logits, expected, rtol=0, atol=1e-4 * scale)
    thresholds = dict.fromkeys(network.subnet_names, 1.0)
    assert set(runtime.cascade(others.numpy(), thresholds).answered_by) <= set(range(len(network.names)))
