import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ddnn
from ddnn.deployment import Runtime
from ddnn.errors import DDNNError
from ddnn_runtime.answers import cascade
from ddnn_runtime.cascade_spec import CalibratedOn, CascadeSpec, Expected
from ddnn_runtime.manifest import MANIFEST, Manifest
from tests.exports import NAMES, SPEC

IMAGES = np.random.default_rng(0).standard_normal((5, 3, 32, 32)).astype(np.float32)


@pytest.mark.parametrize("share_weights", [False, True])
def test_gives_what_pytorch_gives(export: Path, network: ddnn.DepthDynamicNetwork, share_weights: bool) -> None:
    runtime = Runtime(export, threads=1, share_weights=share_weights)
    assert (runtime.names, runtime.full, runtime.class_names) == (NAMES, "resnet20", tuple("abcdefg"))
    for name in NAMES:
        with torch.no_grad():
            expected = network.extract(name)(torch.from_numpy(IMAGES)).numpy()
        np.testing.assert_allclose(runtime(IMAGES, name), expected, rtol=0, atol=1e-4)
    assert np.array_equal(runtime(IMAGES), runtime(IMAGES, "resnet20"))


def test_opens_nets_on_demand(runtime: Runtime) -> None:
    assert runtime.loaded == ()
    runtime(IMAGES, "resnet14")
    assert runtime.loaded == ("resnet14",)
    runtime.load("resnet8")
    assert runtime.loaded == ("resnet8", "resnet14")
    runtime.load()
    assert runtime.loaded == NAMES


def test_answers_the_same_from_eight_threads_while_the_depth_changes(runtime: Runtime) -> None:
    images = {name: IMAGES + place for place, name in enumerate(NAMES)}
    expected = {name: Runtime(runtime.directory, threads=1)(images[name], name) for name in NAMES}
    start = threading.Barrier(8)

    def work(number: int) -> list[tuple[str, np.ndarray]]:
        start.wait()  # nets are opened by several at once
        order = [NAMES[(number + turn) % 3] for turn in range(12)]
        return [(name, runtime(images[name], name)) for name in order]

    with ThreadPoolExecutor(8) as pool:
        for answers in pool.map(work, range(8)):
            for name, logits in answers:
                assert np.array_equal(logits, expected[name]), name


def test_pixels_are_normalised(runtime: Runtime) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    mean, std = (np.array(values)[:, None, None] for values in (SPEC.mean, SPEC.std))
    prepared = ((pixels / 255 - mean) / std).astype(np.float32)
    np.testing.assert_allclose(runtime(pixels), runtime(prepared), rtol=0, atol=1e-4)


def test_takes_other_floating_point_numbers_and_tensors(runtime: Runtime) -> None:
    assert np.array_equal(runtime(IMAGES.astype(np.float64)), runtime(IMAGES))
    assert np.array_equal(runtime(torch.from_numpy(IMAGES)), runtime(IMAGES))
    assert np.array_equal(runtime(np.asfortranarray(IMAGES)), runtime(IMAGES))


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES[0], r"not \(3, 32, 32\); put one image into a batch with images\[None\]"),
        (IMAGES[:, :1], r"must have the shape \(batch, 3, 32, 32\), not \(5, 1, 32, 32\)"),
        (IMAGES[:, :, :16], r"not \(5, 3, 16, 32\)"),
        (IMAGES[:0], "there is no image"),
        (IMAGES.astype(np.int64), "or uint8 pixels, not int64"),
        (np.array([["a"]]), "must have the shape"),
        ([], "must have the shape"),
    ],
)
def test_wrong_images_are_refused(runtime: Runtime, images: object, message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        runtime(images)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda runtime: runtime(IMAGES, "resnet18"), "no sub-net 'resnet18'; did you mean resnet8"),
        (lambda runtime: runtime.load("tiny"), "no sub-net 'tiny'"),
        (lambda runtime: runtime.best_within(0), "no net answers within 0 ms here; the fastest, resnet"),
        (lambda runtime: runtime.latency(batch=0), "batch must be at least 1, not 0"),
        (lambda runtime: runtime.cascade(IMAGES), "has no calibrated cascade"),
        (lambda runtime: runtime.cascade(IMAGES, {"resnet8": 1.5}), "must be a probability in"),
        (lambda runtime: runtime.cascade(IMAGES, {"resnet8": 0.5}, boost=2), "boost must be a share in"),
        (lambda runtime: runtime.cascade(IMAGES, {"resnet20": 0.5}), "resnet20 cannot have a threshold"),
        (lambda runtime: runtime.read(), "there is no image to read"),
        (lambda runtime: runtime.read("nowhere.png"), "Cannot read nowhere.png"),
        (lambda runtime: Runtime(runtime.directory, threads=0), "threads must be at least 1, not 0"),
        (lambda runtime: Runtime(runtime.directory / "nowhere"), "holds no export"),
    ],
)
def test_wrong_calls_are_refused(runtime: Runtime, call: Callable[[Runtime], object], message: str) -> None:
    with pytest.raises(DDNNError, match=message):
        call(runtime)


def test_the_best_net_that_is_fast_enough(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    latencies = {"resnet8": 1.0, "resnet14": 2.0, "resnet20": 3.0}
    monkeypatch.setattr(Runtime, "_measured", lambda *_: latencies)
    assert runtime.best_within(1.5) == "resnet8"
    assert runtime.best_within(2.0) == "resnet14"
    assert runtime.best_within(9.0) == "resnet14"  # which is more accurate than resnet20 here
    assert runtime.fastest_within(9.0) == "resnet14"  # its old name


def test_latency_is_measured_once_for_each_batch_size(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ddnn_runtime.runtime.SECONDS", 0.01)
    first = runtime.latency()
    assert set(first) == set(NAMES)
    assert all(value > 0 for value in first.values())
    assert runtime.latency() == first
    assert runtime.latency(batch=2) != first


@pytest.mark.parametrize("boost", [0, 0.5])
@pytest.mark.parametrize("asked", [("resnet8",), ("resnet8", "resnet14"), ("resnet14",)], ids="-".join)
def test_a_cascade_gives_what_the_networks_own_does(
    runtime: Runtime, network: ddnn.DepthDynamicNetwork, asked: tuple[str, ...], boost: float
) -> None:
    images = torch.randn(40, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        thresholds, said = {}, torch.zeros(1)
        for name in asked:
            said = network(images, name) + boost * said
            thresholds[name] = float(said.softmax(dim=1).amax(dim=1).median()) + 1e-4
        expected = network.cascade(images, thresholds, boost=boost)
    answers = runtime.cascade(images.numpy(), thresholds, boost=boost)
    assert answers.names == expected.names == (*asked, "resnet20")
    assert np.array_equal(answers.answered_by, expected.answered_by.numpy())
    assert len(set(answers.answered_by)) == len(answers.names), "each net must answer some of the images"
    np.testing.assert_allclose(answers.logits, expected.logits.numpy(), rtol=0, atol=1e-4)


def test_an_export_carries_the_share_of_its_calibrated_cascade(runtime: Runtime, tmp_path: Path) -> None:
    images, thresholds = np.random.default_rng(0).normal(size=(16, 3, 32, 32)).astype(np.float32), {"resnet8": 0.6}
    found = Expected(0.5, 1.0, "macs", {"resnet8": 0.5, "resnet20": 0.5})
    spec = CascadeSpec(thresholds, "resnet20", {"accuracy": 0.5}, CalibratedOn("x", "validation", 9), found, boost=0.75)
    (tmp_path / MANIFEST).write_text(replace(runtime.manifest, cascade=spec).to_json())
    manifest = Manifest.described(tmp_path)
    assert manifest.cascade == spec
    calibrated = cascade(manifest, runtime._sessions, images)
    given = {share: runtime.cascade(images, thresholds, boost=share) for share in (0.75, None)}
    assert np.array_equal(calibrated.logits, given[0.75].logits)
    assert not np.array_equal(calibrated.logits, given[None].logits), "other thresholds have no share"
