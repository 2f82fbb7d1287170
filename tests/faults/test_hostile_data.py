"""Labels that are no classes, images that are none, and numbers that are not finite: told in one message, wherever
they come in."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

import ddnn
from ddnn import DDNNError, TrainConfig, train
from ddnn.deployment import Runtime, export_onnx
from ddnn.errors import DataError
from ddnn.measuring.evaluation import evaluate
from ddnn.training import NonFiniteLossError
from ddnn.training.module import DepthDynamicTraining
from tests.end_to_end.command import refused, run
from tests.faults.pictures import IMAGES, LABELS, write_folder, write_parquet

TINY = ("--full", "resnet14", "--subnets", "resnet8", "--epochs", 1, "--batch_size", 8, "--device", "cpu")
NAN = float("nan")

WRONG_LABELS: dict[str, tuple[dict[str, Any], str]] = {
    "minus one": ({"labels": [-1, *LABELS[1:]]}, "has the label -1, which stands for an image without a label"),
    "minus two, with names": (
        {"labels": [-2, *LABELS[1:]], "names": ["a", "b"]},
        "row 0: label -2 is none of the 2 classes",
    ),
    "beyond 64 bits": (
        {"labels": [2**63 + 5, *LABELS[1:]], "label_type": pa.uint64()},
        "row 0: label 9223372036854775813 takes more than 64 bits",
    ),
    "above the names": ({"labels": [2, *LABELS[1:]], "names": ["a", "b"]}, "label 2 is none of the 2 classes"),
    "fewer names": ({"labels": [*LABELS[1:], 2], "names": ["a", "b"]}, "label 2 is none of the 2 classes"),
    "a name twice": ({"labels": LABELS, "names": ["a", "a"]}, "names more than one class 'a'"),
    "half": ({"labels": [0.5, *LABELS[1:]]}, "row 0: column label must hold whole numbers, not 0.5"),
    "infinite": ({"labels": [float("inf"), *LABELS[1:]]}, "row 0: column label must hold whole numbers, not inf"),
    "lists": ({"labels": [[label] for label in LABELS]}, "must hold one whole number or text a row"),
}


@pytest.mark.parametrize("name", WRONG_LABELS)
def test_labels_that_are_no_classes_are_refused(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    content, message = WRONG_LABELS[name]
    source = write_parquet(tmp_path / "data", IMAGES, **content)
    assert message in refused(run(capfd, "train", "--data", source, *TINY, "--output", tmp_path / "run"))
    assert not (tmp_path / "run").exists()


WITHOUT_LABEL: dict[str, dict[str, Any]] = {
    "minus one, with names": {"labels": [-1, *LABELS[1:]], "names": ["a", "b"]},
    "null": {"labels": [None, *LABELS[1:]]},
    "not a number": {"labels": [NAN, *LABELS[1:]]},
}


@pytest.mark.parametrize("name", WITHOUT_LABEL)
def test_rows_without_a_label_are_counted(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    source = write_parquet(tmp_path / "data", IMAGES, **WITHOUT_LABEL[name])
    result = run(capfd, "train", "--data", source, *TINY, "--output", tmp_path / "run")
    assert result.status == 0, result.err
    for split in ("train", "test"):
        assert f"1 of 24 {split} images" in result.err


@pytest.mark.parametrize("images", [[1] * 24, [[1, 2]] * 24, [None] * 24, [{"bytes": "abc"}] * 24])
def test_columns_that_hold_no_images_are_refused(
    images: list[Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    source = write_parquet(tmp_path / "data", images, LABELS)
    message = refused(run(capfd, "train", "--data", source, *TINY, "--output", tmp_path / "run"))
    assert "must hold the bytes of encoded images" in message


@pytest.mark.parametrize("kind", ["null", "struct of null", "empty file", "no image"])
def test_images_that_cannot_be_read_are_refused_or_counted(
    kind: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Those too that are looked at first, to find out how large the images are."""
    if kind in ("null", "struct of null"):
        spoilt = None if kind == "null" else {"bytes": None, "path": "a.png"}
        source = write_parquet(tmp_path / "data", [spoilt, *IMAGES[1:]], LABELS)
    else:
        source = write_folder(tmp_path / "data", b"" if kind == "empty file" else b"no image")
    command = ("train", "--data", source, *TINY, "--validation", 0, "--output", tmp_path / "run")
    assert "Cannot decode" in refused(run(capfd, *command))
    allowed = run(capfd, *command, "--max_corrupt", 2)
    assert allowed.status == 0, allowed.err
    assert "left out (1 of at most 2 train images)" in allowed.err
    assert "left out (1 of at most 2 test images)" in allowed.err
    assert ddnn.load(tmp_path / "run").data_spec.size == (8, 8)  # type: ignore[union-attr]
    assert "Cannot decode" in refused(run(capfd, "evaluate", tmp_path / "run", "--max_corrupt", 0))
    assert run(capfd, "evaluate", tmp_path / "run").status == 0


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 4]), "the label 4 is none of the network's 4 classes"),
        (torch.tensor([-1, 0]), "the label -1 is none"),
        (torch.tensor([0.0, 1.0]), "as many whole numbers as labels"),
        (torch.tensor([[0, 1]]), "as many whole numbers as labels"),
        (torch.tensor([0]), "2 images need as many"),
    ],
)
def test_wrong_labels_of_ones_own_loader_are_refused(labels: torch.Tensor, message: str) -> None:
    network = ddnn.build("resnet14", ["resnet8"], num_classes=4)
    with pytest.raises(DataError, match=message):
        evaluate(network, [(torch.zeros(2, 3, 16, 16), labels)])


def test_images_without_sense_are_told_by_scores_and_by_calibration() -> None:
    network = ddnn.build("resnet20", ["resnet8"], num_classes=4)
    images = torch.zeros(2, 3, 16, 16)
    images[1, 0, 0, 0] = NAN
    with pytest.raises(DataError, match="resnet8 gives outputs that are not finite"):
        evaluate(network, [(images, torch.tensor([0, 1]))])
    for batch, message in (
        (images, "not finite"),
        (images.clamp(0, 1).nan_to_num().byte(), "normalised floating-point images, not torch.uint8"),
        ("images", "not str"),
    ):
        with pytest.raises(DataError, match=message):
            network.add_subnet("resnet14", calibrate_with=[(batch, 0)])
        assert network.names == ("resnet8", "resnet20")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "run"
    train(TrainConfig(full="resnet14", subnets="resnet8", epochs=1, train_images=100, output=str(path)), progress=False)
    return path


def test_a_network_of_spoilt_weights_is_refused_by_every_command(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = ddnn.load(trained)
    with torch.no_grad():
        network["resnet14"].fc.weight[0, 0] = NAN  # type: ignore[index, union-attr]
    path = tmp_path / "spoilt"
    network.save(path)
    torch.save(network["resnet14"].state_dict(), tmp_path / "weights.pt")
    message = "is spoilt: fc.weight holds numbers that are not finite"
    for command in (
        ("evaluate", path, "--data", "digits"), ("predict", path, tmp_path), ("export", path, "--data", "digits"),
        ("extract", path), ("quantize", path), ("cascade", path), ("profile", path),
        ("choose", path, "--accuracy", 0.1),
    ):  # fmt: skip
        assert message in refused(run(capfd, *command)), command
    begin = ("train", *TINY, "--weights", tmp_path / "weights.pt", "--output", tmp_path / "run")
    assert "is spoilt: fc.weight holds values that are no numbers" in refused(run(capfd, *begin))


def test_a_runtime_takes_finite_numbers_of_the_right_shape_and_type(trained: Path, tmp_path: Path) -> None:
    export_onnx(ddnn.load(trained), tmp_path / "export", images=torch.randn(2, 1, 8, 8))
    runtime = Runtime(tmp_path / "export")
    images = np.random.default_rng(0).normal(size=(3, 1, 8, 8)).astype(np.float32)
    spoilt = images.copy()
    spoilt[2, 0, 1, 1] = NAN
    wrong: list[tuple[Any, str]] = [
        (spoilt, "image 2 of the batch has numbers that are not finite"),
        (np.where(images > 0, np.inf, images), "image 0 .* not finite"),
        (np.full((1, 1, 8, 8), 1e300), "not finite in float32"),
        (images[0], r"put one image into a batch"),
        (images.transpose(0, 2, 3, 1), "must have the shape"),
        (images[:0], "there is no image"),
        (images.astype(np.int64), "must be normalised floating-point numbers, or uint8 pixels, not int64"),
        (images.astype(np.complex64), "not complex64"),
        (images > 0, "not bool"),
        (images.astype(object), "not object"),
        (None, "must have the shape"),
        ("images", "must have the shape"),
        ([[1.0], [1.0, 2.0]], "must be one array"),
    ]
    for given, message in wrong:
        for ask in (runtime, runtime.cascade):
            with pytest.raises(DataError, match=message):
                ask(given, **({"last": "resnet14"} if ask is not runtime else {}))
    expected = runtime(images)
    for same in (images.astype(np.float64), np.asfortranarray(images), images.tolist(), torch.from_numpy(images)):
        np.testing.assert_array_equal(runtime(same), expected)


@pytest.mark.parametrize("steps", [None, 1])
def test_an_image_that_is_no_number_stops_the_training_and_the_last_good_checkpoint_stays(
    steps: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    take, taken = DepthDynamicTraining.training_step, []

    def spoilt(self: DepthDynamicTraining, batch: Any, index: int) -> torch.Tensor:
        images, labels = batch
        taken.append(index)
        return take(self, (images * (NAN if len(taken) == 6 else 1.0), labels), index)

    monkeypatch.setattr(DepthDynamicTraining, "training_step", spoilt)
    path = tmp_path / "run"
    config = TrainConfig(
        full="resnet14", subnets="resnet8", epochs=3, train_images=120, batch_size=24, output=str(path),
        checkpoint_steps=steps, objective="joint",
    )  # fmt: skip
    with pytest.raises(NonFiniteLossError, match=r"not finite in epoch 2 .*the last good checkpoint is .*last\.ckpt"):
        train(config, progress=False)
    state = torch.load(path / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(bool(value.isfinite().all()) for value in state["state_dict"].values())
    monkeypatch.undo()
    train(TrainConfig(resume=str(path)), progress=False)
    assert isinstance(ddnn.load(path), ddnn.DepthDynamicNetwork)


def test_errors_are_those_that_callers_catch() -> None:
    assert issubclass(DataError, DDNNError)
    assert issubclass(NonFiniteLossError, ValueError)
