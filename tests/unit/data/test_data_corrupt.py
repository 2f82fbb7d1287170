import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddnn.config import DataConfig
from ddnn.data import open_data
from ddnn.data.corrupt import CorruptImages
from ddnn.errors import DataError, UnreadableImageError
from tests.unit.data.loaders import batches, same

BROKEN = ("train/cat/3.png", "train/dog/5.png", "val/dog/1.png")


@pytest.fixture(params=[24, 80])  # held in memory, decoded anew in each epoch
def folder(request, tmp_path: Path) -> Path:
    generator = np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 4)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = generator.integers(0, 255, (request.param, request.param, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(tmp_path / split / name / f"{number}.png")
    for name in BROKEN:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:60])
    return tmp_path


def config(folder: Path, **changes) -> DataConfig:
    side = 24 if Image.open(folder / "train/cat/0.png").width == 24 else 80
    return DataConfig(data=f"folder:{folder}", image_size=side, validation=0, batch_size=4, **{"workers": 0, **changes})


def test_by_itself_the_first_is_refused(folder):
    with pytest.raises(UnreadableImageError, match=r"Cannot decode .*3\.png"):
        batches(open_data(config(folder), 0).training("cpu"))


@pytest.mark.parametrize("workers", [0, 2])
def test_as_many_as_allowed_are_left_out_and_each_is_named_once(folder, workers):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        data = open_data(config(folder, max_corrupt=2, workers=workers), 0)
        training = data.training("cpu")
        epochs = [batches(training, epoch) for epoch in range(2)]
        test = batches(data.test("cpu"))
    told = sorted(str(warning.message) for warning in caught if "left out" in str(warning.message))
    assert len(told) == 3
    assert [name for name in BROKEN if any(name in message for message in told)] == list(BROKEN)
    assert told[-1].endswith("left out (1 of at most 2 test images)")
    assert sum(len(labels) for _, labels in test) == 7
    assert all(images.shape[0] == 4 for epoch in epochs for images, _ in epoch)
    assert same(epochs[1], batches(training, 1))  # the same images take their places


def test_more_than_allowed_are_an_error_that_names_them(folder):
    def three_epochs():
        return [batches(open_data(config(folder, max_corrupt=1), 0).training("cpu"), epoch) for epoch in range(3)]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match=r"more than 1 train images cannot be decoded \(.*png.*png"):
            three_epochs()


def test_the_same_image_counts_once():
    corrupt = CorruptImages(1, "train")
    with pytest.warns(UserWarning, match="a is bad; left out"):
        corrupt.note("a is bad")
    corrupt.note("a is bad")
    with pytest.raises(DataError, match="a is bad; b is bad"):
        corrupt.note("b is bad")
