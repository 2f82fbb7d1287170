import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from ddnn.config import DataConfig
from ddnn.data import open_data
from ddnn.data.images import decode
from ddnn.data.parquet import open_parquet
from ddnn.errors import DataError, UnreadableImageError


def test_class_names_come_from_hugging_face_metadata(make_parquet, encode):
    make_parquet("train.parquet", [0, 1, 1], names=["cat", "dog", "emu"])
    source = open_parquet(make_parquet("test.parquet", [2], names=["cat", "dog", "emu"]))
    assert source.class_names == ("cat", "dog", "emu")
    assert source.split("train").labels.tolist() == [0, 1, 1]
    assert source.split("test").labels.tolist() == [2]
    assert torch.equal(source.split("train").image(1, 3), decode(encode((10, 10), 1), 3, "x"))


def test_without_metadata_classes_are_the_sorted_labels(make_parquet):
    make_parquet("train.parquet", [7, -3, 7, 20])
    source = open_parquet(make_parquet("test.parquet", [20, -3]))
    assert source.class_names == ("-3", "7", "20")
    assert source.split("train").labels.tolist() == [1, 0, 1, 2]
    assert source.split("test").labels.tolist() == [2, 0]


def test_columns_of_cifar100_and_plain_bytes(make_parquet):
    make_parquet("train.parquet", [1, 0], image="img", label="fine_label", names=["a", "b"], plain=True)
    source = open_parquet(make_parquet("test.parquet", [1], image="img", label="fine_label", names=["a", "b"]))
    assert source.class_names == ("a", "b")
    assert source.split("train").image(0, 3).shape == (3, 10, 10)


def test_shards_are_one_split_and_errors_name_the_right_one(make_parquet):
    make_parquet("test.parquet", [0])
    make_parquet("train-00000-of-00002.parquet", [0, 1, 0])
    root = make_parquet("train-00001-of-00002.parquet", [1, 1], broken=1)
    train = open_parquet(root).split("train")
    assert train.labels.tolist() == [0, 1, 0, 1, 1]
    assert torch.equal(train.image(3, 3), train.image(0, 3))  # both are the first image of their shard
    with pytest.raises(UnreadableImageError, match=r"train-00001-of-00002\.parquet, row 1: not an image"):
        train.image(4, 3)


def test_validation_file_watches_or_is_the_test_split(make_parquet):
    make_parquet("train.parquet", [0, 0])
    root = make_parquet("validation.parquet", [0])
    assert set(open_parquet(root).splits) == {"train", "test"}
    make_parquet("test.parquet", [0])
    assert set(open_parquet(root).splits) == {"train", "validation", "test"}


def test_size_is_that_of_all_images_looked_at(make_parquet):
    make_parquet("train.parquet", [0, 1] * 4, size=(12, 10))
    root = make_parquet("test.parquet", [0, 1], size=(20, 20))
    data = open_data(DataConfig(data=f"parquet:{root}"), 0)
    assert data.spec.size == (10, 10)
    assert next(iter(data.test("cpu")))[0].shape == (2, 3, 10, 10)
    assert open_data(DataConfig(data=f"parquet:{root}", image_size=16), 0).spec.size == (16, 16)


def test_images_that_differ_in_size_become_usual(make_parquet, encode):
    root = make_parquet("train.parquet", [0, 1] * 40)
    images = [{"bytes": encode((10, 10) if index < 79 else (12, 12), index)} for index in range(80)]
    table = pa.table({"image": images, "label": [0, 1] * 40})
    pq.write_table(table, root / "train.parquet", row_group_size=9)
    assert open_data(DataConfig(data=f"parquet:{root}"), 0).size == (224, 224)
    images[79] = {"bytes": b"damaged"}
    pq.write_table(pa.table({"image": images, "label": [0, 1] * 40}), root / "train.parquet", row_group_size=9)
    with pytest.raises(UnreadableImageError, match=r"train\.parquet, row 79: not an image"):
        open_data(DataConfig(data=f"parquet:{root}"), 0)


def test_large_images_are_decoded_by_workers(make_parquet):
    make_parquet("train.parquet", [0, 1] * 3, size=(70, 66))
    root = make_parquet("test.parquet", [0, 1, 0], size=(100, 90), broken=2)
    data = open_data(DataConfig(data=f"parquet:{root}", batch_size=2, workers=1, validation=0), 0)
    assert data.spec.size == (224, 224)
    assert data.spec.mean == (0.485, 0.456, 0.406)
    assert [images.shape for images, _ in data.training("cpu")] == [(2, 3, 224, 224)] * 3
    data = open_data(DataConfig(data=f"parquet:{root}", workers=0), 0)
    with pytest.raises(UnreadableImageError, match=r"^Cannot decode .*test\.parquet, row 2: not an image"):
        list(data.test("cpu"))


def test_missing_files(tmp_path, make_parquet):
    with pytest.raises(DataError, match=r"has no images: expected train.parquet and test.parquet"):
        open_parquet(tmp_path)
    data = open_data(DataConfig(data=f"parquet:{make_parquet('test.parquet', [0, 1])}"), 0)
    with pytest.raises(DataError, match=r"has no train images: expected train.parquet"):
        data.training("cpu")
    root = make_parquet("train.parquet", [0, 0])
    (root / "test.parquet").unlink()
    with pytest.raises(DataError, match=r"has no test images: expected train.parquet"):
        open_parquet(root).split("test")


def test_missing_columns_are_named(make_parquet):
    root = make_parquet("train.parquet", [0], label="animal")
    with pytest.raises(DataError, match=r"no column label or .*; it has image, animal: .* with --label_column"):
        open_parquet(root)
    root = make_parquet("train.parquet", [0], image="picture")
    with pytest.raises(DataError, match=r"no column image or .*; it has picture, label: .* with --image_column"):
        open_parquet(root).split("train")


@pytest.mark.parametrize("label", [-2, 2])
def test_labels_out_of_range_are_named(make_parquet, label):
    make_parquet("train.parquet", [0, 1], names=["a", "b"])
    source = open_parquet(make_parquet("test.parquet", [0, label], names=["a", "b"]))
    with pytest.raises(DataError, match=rf"test.parquet, row 1: label {label} is none of the 2 classes, .* 0 to 1"):
        source.split("test")


@pytest.mark.parametrize(
    ("labels", "what"),
    [
        ([0.5], r"row 0: column label must hold whole numbers, not 0\.5"),
        ([[0, 1]], "column label must hold one whole number or text a row, not list"),
        ([None], "no image in .* has a label"),
        ([-1, 0], "the label -1, which stands for an image without a label"),
    ],
)
def test_what_is_no_label(make_parquet, labels, what):
    with pytest.raises(DataError, match=what):
        open_parquet(make_parquet("train.parquet", labels))


def test_metadata_that_differ(make_parquet):
    make_parquet("train.parquet", [0], names=["a", "b"])
    root = make_parquet("test.parquet", [0], names=["b", "a"])
    with pytest.raises(DataError, match=r"train.parquet and .*test.parquet name their classes differently"):
        open_parquet(root)


def test_images_must_be_bytes(make_parquet):
    root = make_parquet("train.parquet", [0])
    pq.write_table(pa.table({"image": [[1.0]], "label": [0]}), root / "train.parquet")
    with pytest.raises(DataError, match=r"column image must hold the bytes of encoded images.*not list<.*double>"):
        open_parquet(root).split("train")
    no_bytes = pa.array([None], pa.struct({"bytes": pa.binary()}))
    pq.write_table(pa.table({"image": no_bytes, "label": [0]}), root / "train.parquet")
    with pytest.raises(UnreadableImageError, match=r"train\.parquet, row 0: it is empty"):
        open_parquet(root).split("train").image(0, 3)


def test_damaged_and_empty_files(make_parquet):
    root = make_parquet("train.parquet", [])
    pq.write_table(
        pq.read_table(root / "train.parquet").cast(
            pa.schema({"image": pa.struct({"bytes": pa.binary(), "path": pa.string()}), "label": pa.int64()})
        ),
        root / "train.parquet",
    )
    with pytest.raises(DataError, match=r"train.parquet has no rows"):
        open_parquet(root)
    (root / "train.parquet").write_text("damaged")
    with pytest.raises(DataError, match=r"Cannot read .*train.parquet"):
        open_parquet(root)


def test_cifar10(cifar10):
    config = DataConfig(data=f"parquet:{cifar10}", train_images=2000, batch_size=100)
    data = open_data(config, 0)
    assert data.spec.class_names[:3] == ("airplane", "automobile", "bird")
    assert np.allclose(data.spec.mean, (0.491, 0.482, 0.447), atol=0.02)
    assert np.allclose(data.spec.std, (0.247, 0.243, 0.262), atol=0.02)
    images, labels = next(iter(data.training("cpu")))
    assert images.shape == (100, 3, 32, 32)
    assert set(labels.tolist()) == set(range(10))
    assert len(data.training("cpu")) == 18
    watched = data.validation("cpu")
    assert watched is not None
    assert torch.cat([labels for _, labels in watched]).bincount().tolist() == [20] * 10
