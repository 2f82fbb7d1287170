import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from ddnn.data.sources import open_source
from ddnn.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for wnid in ("n02012849", "n03126707", "n01440764"):
            (tmp_path / split / wnid).mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (80, 90)).save(tmp_path / split / wnid / f"{wnid}_{number}.JPEG")
    return tmp_path


def test_folders_are_enough(root):
    source = open_source("imagenet", str(root))
    assert source.class_names == ("n01440764", "n02012849", "n03126707")
    assert (len(source.split("train")), len(source.split("test"))) == (6, 6)


def test_classes_have_the_names_of_the_devkit_where_torchvision_has_read_it(root):
    synonyms = {"n02012849": ("crane",), "n03126707": ("crane",), "n01440764": ("tench", "Tinca tinca")}
    torch.save((synonyms, ["n01440764"]), root / "meta.bin")
    assert open_source("imagenet", str(root)).class_names == ("tench", "crane (n02012849)", "crane (n03126707)")


@pytest.mark.parametrize("content", [b"damaged", b""])
def test_a_damaged_devkit_is_told(root, content):
    (root / "meta.bin").write_bytes(content)
    with pytest.raises(DataError, match=r"meta\.bin does not describe the folders"):
        open_source("imagenet", str(root))


def test_val_alone_can_be_evaluated_on(root):
    shutil.rmtree(root / "train")
    source = open_source("imagenet", str(root))
    assert (source.name, len(source.split("test"))) == ("imagenet", 6)
    with pytest.raises(DataError, match="imagenet has no train images"):
        source.split("train")


def test_archives_are_asked_for_by_name(tmp_path):
    (tmp_path / "ILSVRC2012_img_val.tar").touch()
    with pytest.raises(DataError, match=r"of which ILSVRC2012_devkit_t12.tar.gz, ILSVRC2012_img_train.tar are missing"):
        open_source("imagenet", str(tmp_path))
