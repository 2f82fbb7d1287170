import pytest

from ddnn.config import DataConfig
from ddnn.data import open_data
from ddnn.data.folder import open_folder
from ddnn.errors import DataError, UnreadableImageError


def lengths(root):
    source = open_folder(root)
    return {name: len(source.split(name)) for name in source.splits}


def test_train_and_val(make_folder):
    root = make_folder({"train/cat": 3, "train/dog": 2, "val/cat": 1, "val/dog": 1})
    source = open_folder(root)
    assert source.class_names == ("cat", "dog")
    assert lengths(root) == {"train": 5, "test": 2}
    assert source.split("train").labels.tolist() == [0, 0, 0, 1, 1]
    assert source.split("train").image(0, 3).shape == (3, 80, 96)
    assert source.split("train").image(0, 1).shape == (1, 80, 96)


def test_train_val_and_test(make_folder):
    root = make_folder(
        {f"{split}/{name}": count for split, count in (("train", 3), ("val", 2), ("test", 1)) for name in "ab"}
    )
    assert lengths(root) == {"train": 6, "validation": 4, "test": 2}
    data = open_data(DataConfig(data=f"folder:{root}", image_size=8, validation=0), 0)
    watched = data.validation("cpu")
    assert watched is not None
    assert sum(len(labels) for _, labels in watched) == 4
    assert sum(len(labels) for _, labels in data.training("cpu")) == 6


@pytest.mark.parametrize("split", ["val", "test"])
def test_one_split_can_be_evaluated_but_not_trained_on(make_folder, split):
    root = make_folder({f"{split}/a": 1, f"{split}/b": 1}, size=(90, 90))
    data = open_data(DataConfig(data=f"folder:{root}", image_size=72, workers=0), 0)
    assert next(iter(data.test("cpu")))[0].shape == (2, 3, 72, 72)
    with pytest.raises(DataError, match=r"folder:.*has no train images: expected train/CLASS/\*.jpg and val/"):
        data.training("cpu")


def test_train_alone_has_no_test_images(make_folder):
    source = open_folder(make_folder({"train/a": 1}))
    with pytest.raises(DataError, match="has no test images: expected train/CLASS"):
        source.split("test")


def test_class_folders_alone_are_divided(make_folder):
    root = make_folder({"cat": 10, "dog": 5})
    source = open_folder(root)
    assert lengths(root) == {"train": 12, "test": 3}
    assert source.split("test").labels.tolist() == [0, 0, 1]
    assert open_folder(root).split("test").indices.tolist() == source.split("test").indices.tolist()


def test_hidden_folders_other_files_and_subfolders(make_folder):
    root = make_folder({"train/cat": 1, "train/cat/more": 2, "train/.cache": 1, "val/cat": 1})
    (root / "train" / "cat" / "notes.txt").write_text("not an image")
    (root / "train" / "README").write_text("not a class")
    assert lengths(root) == {"train": 3, "test": 1}


def test_empty_folder(tmp_path):
    with pytest.raises(DataError, match=f"{tmp_path} has no class folders: expected train/CLASS"):
        open_folder(tmp_path)
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=f"{tmp_path}/train has no class folders"):
        open_folder(tmp_path)


def test_class_without_images_is_named(make_folder):
    root = make_folder({"train/cat": 1, "train/dog": 0, "val/cat": 1, "val/dog": 1})
    with pytest.raises(DataError, match=r"train/dog has no images: expected files that end in \.jpg"):
        open_data(DataConfig(data=f"folder:{root}"), 0)


def test_classes_that_differ_are_named(make_folder):
    root = make_folder({"train/cat": 1, "train/dog": 1, "val/cat": 1, "val/dgo": 1})
    with pytest.raises(DataError, match=r"differ; only in .*train: dog; only in .*val: dgo$"):
        open_folder(root)


def test_many_differing_classes_are_cut_short(make_folder):
    root = make_folder({"train/a": 1, **{f"val/{name}": 1 for name in "abcdefgh"}})
    with pytest.raises(DataError, match=r"only in .*val: b, c, d, e, f, \.\.\.$"):
        open_folder(root)


def test_one_image_a_class_cannot_be_divided(make_folder):
    with pytest.raises(DataError, match="with 1 image of class dog it cannot be divided into training and test"):
        open_folder(make_folder({"cat": 2, "dog": 1})).split("train")


def test_small_images_are_held_in_memory_and_damage_is_named(make_folder):
    root = make_folder({"train/cat": 3, "train/dog": 1, "val/cat": 2, "val/dog": 1})
    config = DataConfig(data=f"folder:{root}", image_size=16, validation=0)
    images, labels = next(iter(open_data(config, 0).training("cpu")))
    assert images.shape == (4, 3, 16, 16)
    assert sorted(labels.tolist()) == [0, 0, 0, 1]
    (root / "val" / "cat" / "1.png").write_bytes(b"damaged")
    with pytest.raises(UnreadableImageError, match=r"Cannot decode .*val/cat/1\.png"):
        open_data(config, 0).test("cpu")


def test_the_sample_of_imagenet_is_refused_as_a_whole_and_read_as_val(imagenet_sample, tmp_path):
    with pytest.raises(DataError, match="takes two of each class"):
        open_folder(imagenet_sample).split("test")
    (tmp_path / "val").symlink_to(imagenet_sample)
    data = open_data(DataConfig(data=f"folder:{tmp_path}", workers=2, batch_size=32 * 25), 0)
    assert data.spec.num_classes == 1000
    assert data.spec.class_names[0] == "n01440764"
    assert data.size == (224, 224)
    test = data.test("cpu", share=(3, 25))
    batches = list(test)
    assert [tuple(images.shape) for images, _ in batches] == [(32, 3, 224, 224), (8, 3, 224, 224)]
    assert len(test) == 2
    assert [label for _, labels in batches for label in labels.tolist()] == list(range(3, 1000, 25))
    assert abs(float(batches[0][0].mean())) < 0.5


def own_size(root):
    return open_data(DataConfig(data=f"folder:{root}", validation=0, workers=0), 0).size


def test_small_images_of_one_size_keep_it(make_folder):
    root = make_folder({"train/cat": 2, "train/dog": 2, "val/cat": 1, "val/dog": 1}, size=(32, 32))
    assert own_size(root) == (32, 32)
    assert open_data(DataConfig(data=f"folder:{root}", image_size=80), 0).size == (80, 80)


def test_small_images_of_several_sizes_and_large_ones_become_usual(make_folder, encode):
    root = make_folder({"train/cat": 2, "train/dog": 2}, size=(32, 32))
    (root / "train" / "dog" / "0.png").write_bytes(encode((32, 40), 0))
    assert own_size(root) == (224, 224)
    for name in ("cat", "dog"):
        (root / "train" / name / "0.png").write_bytes(encode((65, 65), 0))
    assert own_size(root) == (224, 224)


def test_the_size_of_class_folders_alone_is_looked_at_too(make_folder):
    assert own_size(make_folder({"cat": 4, "dog": 4}, size=(24, 30))) == (24, 24)


def test_an_image_without_a_size_is_named(make_folder):
    root = make_folder({"train/cat": 1, "train/dog": 1})
    (root / "train" / "dog" / "0.png").write_bytes(b"damaged")
    with pytest.raises(UnreadableImageError, match=r"train/dog/0\.png"):
        own_size(root)


def test_one_class_is_refused(make_folder):
    with pytest.raises(DataError, match=r"has one class \(cat\): a classifier needs two or more"):
        own_size(make_folder({"train/cat": 2}))
