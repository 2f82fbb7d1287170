"""Calibration, decision and judgement are on images that do not meet, prepared alike and not augmented."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import ddnn
from ddnn.config import QuantizeConfig
from ddnn.data import open_data
from ddnn.deployment.quantization.images import Images, count, images_of
from ddnn.runs.run_directory import RunDirectory


def run_of(folder: Path, **keys: object) -> tuple[ddnn.DepthDynamicNetwork, Path]:
    """A run directory on digits, without the training."""
    config = ddnn.TrainConfig(output=str(folder / "run"), **keys)
    RunDirectory.claim(config).create(config)
    network = ddnn.build("resnet8", num_classes=10, in_channels=1)
    network.data_spec = open_data(config, seed=0).spec
    return network, folder / "run"


def pixels(images: Images) -> dict[str, set[bytes]]:
    parts = {
        "calibration": images.calibration,
        "deciding": [own for own, _ in images.deciding],
        "test": [own for own, _ in images.test],
    }
    return {name: {image.tobytes() for batch in batches for image in batch} for name, batches in parts.items()}


def test_no_image_is_in_two_sets_and_each_is_as_it_is_in_the_data(tmp_path: Path) -> None:
    network, run = run_of(tmp_path)
    images = images_of(network, run, QuantizeConfig(calibration_images=100, validation_images=90))
    assert (count(images.calibration), count(images.deciding), count(images.test)) == (100, 90, 359)
    assert images.decided_on == "validation"
    found = pixels(images)
    assert not found["calibration"] & found["deciding"]
    assert not found["calibration"] & found["test"]
    assert not found["deciding"] & found["test"]
    assert network.data_spec is not None
    (mean,), (std,) = network.data_spec.mean, network.data_spec.std
    originals = {image.astype(int).tobytes() for image in load_digits().images}  # 0 to 16
    shown = np.rint(16 * (np.concatenate(images.calibration) * std + mean)).astype(int)
    assert {image.tobytes() for image in shown[:, 0]} <= originals


def test_the_run_s_own_division_is_kept(tmp_path: Path) -> None:
    network, run = run_of(tmp_path, validation=0.25, train_images=400)
    images = images_of(network, run, QuantizeConfig(calibration_images=1000))
    assert (count(images.calibration), count(images.deciding)) == (256, 100)  # whole batches of 64, out of 300 images


def test_without_held_out_images_test_images_decide(tmp_path: Path) -> None:
    network, run = run_of(tmp_path, validation=0.0)
    assert images_of(network, run, QuantizeConfig()).decided_on == "test"
    other = images_of(network, tmp_path, QuantizeConfig(data="digits", validation_images=50))
    assert (other.decided_on, count(other.deciding)) == ("test", 50)


def test_the_images_are_the_same_each_time(tmp_path: Path) -> None:
    network, run = run_of(tmp_path)
    one, other = (images_of(network, run, QuantizeConfig(calibration_images=32)) for _ in range(2))
    assert np.array_equal(one.calibration[0], other.calibration[0])
    assert len(list(one.test)) == len(list(one.test)) == 6


def test_a_network_without_data_needs_some(tmp_path: Path) -> None:
    network = ddnn.build("resnet8", num_classes=10, in_channels=1)
    with pytest.raises(ddnn.DDNNError, match="give --data"):
        images_of(network, tmp_path, QuantizeConfig())
    with pytest.raises(ddnn.DDNNError, match="1 channels, the network 10 and 3"):
        images_of(ddnn.build("resnet8", num_classes=10), tmp_path, QuantizeConfig(data="digits"))
