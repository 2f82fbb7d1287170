"""`ddnn.train` with a network that somebody made: it is trained as a fresh one is, in whatever mode it comes."""

from pathlib import Path

import pytest
import torch

import ddnn


def trained(network: ddnn.DepthDynamicNetwork, output: Path) -> dict[str, torch.Tensor]:
    config = ddnn.TrainConfig(epochs=1, train_images=128, batch_size=32, output=str(output))
    return ddnn.train(config, network=network, progress=False).network.tensors()


def test_a_loaded_network_is_trained_as_one_in_training_mode(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = ddnn.build("resnet14", ["resnet8"], num_classes=10, in_channels=1)
    network.save(tmp_path / "network")
    loaded = ddnn.load(tmp_path / "network")
    assert not loaded.training
    before = {name: tensor.clone() for name, tensor in loaded.tensors().items()}
    one, other = trained(network, tmp_path / "one"), trained(loaded, tmp_path / "other")
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert not torch.equal(other["bn1.running_mean"], before["bn1.running_mean"])


def test_a_network_for_other_data_is_refused(tmp_path: Path) -> None:
    network = ddnn.build("resnet14", ["resnet8"], num_classes=7)
    with pytest.raises(ddnn.DDNNError, match="the network has 7 classes and 3 channels, and digits 10 and 1"):
        trained(network, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_weights_of_nets_that_are_not_there_are_refused(tmp_path: Path) -> None:
    config = ddnn.TrainConfig(loss_weights={"resnet9": 1.0}, output=str(tmp_path / "run"))
    with pytest.raises(
        ddnn.DDNNError, match="loss_weights names 'resnet9', which is no net here; did you mean resnet8"
    ):
        ddnn.train(config, progress=False)
    assert not (tmp_path / "run").exists()
