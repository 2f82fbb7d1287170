"""One export for all tests that read one: made once, whichever worker needs it first."""

from pathlib import Path

import pytest
import torch

import ddnn
from ddnn.deployment import export_onnx
from tests.shared import made_once

NAMES = ("resnet8", "resnet14", "resnet20")
SPEC = ddnn.DataSpec(3, (32, 32), (0.5, 0.4, 0.3), (0.2, 0.25, 0.3), tuple("abcdefg"))


def small_network() -> ddnn.DepthDynamicNetwork:
    """ResNet-8/14/20 with weights and statistics that are nobody's defaults, the same each time."""
    torch.manual_seed(0)
    network = ddnn.build("resnet20", subnets=["resnet8", "resnet14"], num_classes=7)
    with torch.no_grad():
        network.train().forward_all(torch.randn(16, 3, 32, 32))
    network.data_spec = SPEC
    return network.eval()


def shared_export(factory: pytest.TempPathFactory) -> Path:
    """The folder of an export of `small_network`; nobody may write into it."""
    accuracies = {"resnet8": 0.7, "resnet14": 0.9, "resnet20": 0.8}
    return made_once(
        factory,
        "export-of-small-network",
        lambda directory: export_onnx(small_network(), directory, torch.randn(2, 3, 32, 32), accuracies=accuracies),
    )
