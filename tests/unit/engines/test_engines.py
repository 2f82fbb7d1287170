"""The same nets behind both engines: what one says, the other says too."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ddnn.config.cores import cores
from ddnn.engines import Engine, open_engine
from ddnn.engines.onnx_engine import OnnxEngine
from ddnn.engines.torch_engine import TorchEngine, torch_threads
from ddnn.errors import DDNNError, UnreadableImageError
from ddnn.measuring.macs import cost
from ddnn_runtime.latency import interleaved_for, latencies
from tests.exports import NAMES, SPEC, shared_export, small_network

IMAGES = np.random.default_rng(0).standard_normal((6, 3, 32, 32), dtype=np.float32)
ENGINES = ("torch", "onnx")


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Engine]:
    return {"torch": TorchEngine(small_network()), "onnx": OnnxEngine(shared_export(tmp_path_factory), threads=1)}


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, engines: dict[str, Engine]) -> Engine:
    return engines[request.param]


def close(one: np.ndarray, other: np.ndarray) -> None:
    assert one.dtype == other.dtype == np.float32
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_both_know_the_same_of_the_nets(engine: Engine) -> None:
    assert (engine.names, engine.full) == (NAMES, "resnet20")
    assert (engine.device, engine.precision) == ("cpu", "fp32")
    assert (engine.input_shape, engine.class_names) == ((3, 32, 32), SPEC.class_names)


@pytest.mark.parametrize("name", [*NAMES, None])
def test_both_give_the_same_logits(engines: dict[str, Engine], name: str | None) -> None:
    close(engines["torch"](IMAGES, name), engines["onnx"](IMAGES, name))


def test_arrays_and_tensors_are_the_same_to_both(engine: Engine) -> None:
    assert (engine(torch.from_numpy(IMAGES), "resnet8") == engine(IMAGES, "resnet8")).all()


def test_several_depths_at_once_are_those_one_after_the_other(engine: Engine) -> None:
    for names in (None, ("resnet20", "resnet8")):
        found = engine.joint(IMAGES, names)
        assert list(found) == [name for name in NAMES if names is None or name in names]
        for name, logits in found.items():
            close(logits, engine(IMAGES, name))


def test_opinions_are_the_largest_probabilities_and_their_classes(engine: Engine) -> None:
    for name, (sure, classes) in engine.opinions(IMAGES).items():
        probabilities = torch.from_numpy(engine(IMAGES, name)).softmax(dim=1).numpy()
        close(sure, probabilities.max(axis=1))
        assert (classes == probabilities.argmax(axis=1)).all()


@pytest.mark.parametrize("boost", [0.0, 0.5])
def test_both_answer_a_cascade_alike(engines: dict[str, Engine], boost: float) -> None:
    sure, _ = engines["torch"].opinions(IMAGES)["resnet8"]
    limits = {"resnet8": float(np.sort(sure)[2:4].mean())}  # three of six stay with the first
    one, other = (engines[name].cascade(IMAGES, limits, boost=boost) for name in ENGINES)
    assert one.names == other.names == ("resnet8", "resnet20")
    assert one.answered_by.tolist() == other.answered_by.tolist()
    assert one.answered_by.sum() == 3
    close(one.logits, other.logits)


def test_the_pieces_of_a_net_cost_what_the_net_costs(engine: Engine) -> None:
    network, pieces = small_network(), engine.piece_macs()
    for name in NAMES:
        assert sum(macs for nets, macs in pieces if name in nets) == cost(network[name], (3, 32, 32)).macs
    assert [nets for nets, _ in engine.piece_works(IMAGES)] == [nets for nets, _ in pieces]
    for _, work in engine.piece_works(IMAGES):
        work()


def test_depths_and_batch_sizes_can_be_timed_against_each_other(engine: Engine) -> None:
    """The table of a server that picks both."""
    engine.load()
    pairs = [(name, size) for name in NAMES for size in (1, 4)]
    works = {f"{name} {size}": engine.work(IMAGES[:size], name) for name, size in pairs}
    table = latencies(interleaved_for(works, 0.01, engine.wait), "resnet20 4")
    assert table.keys() == works.keys()
    assert all(found.median_ms > 0 for found in table.values())


def test_threads_with_different_depths_do_not_meet(engine: Engine) -> None:
    expected = {name: engine(IMAGES, name) for name in NAMES}
    with ThreadPoolExecutor(3) as pool:
        for name, found in pool.map(lambda name: (name, engine(IMAGES, name)), NAMES * 5):
            close(found, expected[name])


def test_images_from_files_are_prepared_as_in_training(engines: dict[str, Engine], tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    expected = (pixels.transpose(2, 0, 1)[None] / 255 - np.array(SPEC.mean)[:, None, None]) / np.array(SPEC.std)[
        :, None, None
    ]
    for each in engines.values():
        close(each.read(tmp_path / "image.png"), expected.astype(np.float32))
        with pytest.raises(UnreadableImageError, match="nowhere"):
            each.read(tmp_path / "nowhere.png")


def test_a_net_that_is_not_there_is_said_in_the_same_words(engine: Engine) -> None:
    for ask in (lambda: engine(IMAGES, "resnet9"), lambda: engine.joint(IMAGES, ["resnet8", "resnet9"])):
        with pytest.raises(DDNNError, match="has no sub-net 'resnet9'"):
            ask()


def test_without_a_description_of_the_data_nothing_is_read(tmp_path: Path) -> None:
    network = small_network()
    network.data_spec = None
    engine = TorchEngine(network)
    assert (engine.class_names, engine.input_shape) == (None, (3, 32, 32))
    with pytest.raises(DDNNError, match="without normalisation"):
        engine.read(tmp_path / "image.png")


def test_models_may_run_in_place_of_nets() -> None:
    class Ones(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(images), 7)

    engine = TorchEngine(small_network(), models={"resnet8": Ones()})
    assert (engine(IMAGES, "resnet8") == 1).all()
    assert not (engine(IMAGES, "resnet14") == 1).any()


def test_a_path_says_which_engine_it_needs(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    small_network().save(tmp_path / "run" / "network")
    with torch_threads(1):  # opening sets them for good
        found = open_engine(tmp_path / "run", "cpu", threads=1)
    assert isinstance(found, TorchEngine)
    assert isinstance(open_engine(shared_export(tmp_path_factory)), OnnxEngine)
    with pytest.raises(DDNNError, match=f"at most the {cores()} cores"):
        open_engine(tmp_path / "run", threads=cores() + 1)
    with pytest.raises(DDNNError):
        open_engine(tmp_path)


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
