"""ImageNet (ILSVRC 2012) where torchvision's own class would have it: train/ and val/ with one folder a class."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from ddnn.data.folder import open_folder
from ddnn.data.splits import Source
from ddnn.errors import DataError

_SPLITS = ("train", "val")
_ARCHIVES = ("ILSVRC2012_devkit_t12.tar.gz", "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar")


def open_imagenet(root: Path) -> Source:
    """Open ImageNet, or unpack it first where its three archives are there, which takes torchvision an hour or more.

    Classes have the names of torchvision's `meta.bin`, which it makes of the devkit, or without it those of the folders
    (n01440764 and so on). What watches the training is held out of train/; val/ is the test split, and alone it can be
    evaluated on.

    Args:
        root: the folder that has train/ and val/, or the archives.

    Raises:
        DataError: it has neither.
    """
    if not all((root / split).is_dir() for split in _SPLITS):
        _unpack(root)
    source = open_folder(root)
    return replace(source, name="imagenet", class_names=_class_names(root, source.class_names))


def _unpack(root: Path) -> None:
    """Unpack the archives; without them, val/ has to be there."""
    from torchvision.datasets import ImageNet

    missing = [name for name in _ARCHIVES if not (root / name).is_file()]
    if missing and (root / "val").is_dir():
        return
    if missing:
        raise DataError(
            f"ImageNet is not in {root}: expected train/WNID/*.JPEG and val/WNID/*.JPEG there, or val/ alone to "
            f"evaluate, or the archives of image-net.org to unpack, of which {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing; set data_root to the folder that has them"
        )
    for split in _SPLITS:
        ImageNet(root, split)


def _class_names(root: Path, folders: tuple[str, ...]) -> tuple[str, ...]:
    """The first synonym of each class, with the folder's name where two classes have the same."""
    if not (root / "meta.bin").is_file():
        return folders
    from torchvision.datasets.imagenet import load_meta_file

    try:
        synonyms, _ = load_meta_file(str(root))  # reads tensors and plain values only
        firsts = [str(synonyms[folder][0]) for folder in folders]
    except Exception as error:  # whatever a damaged file makes torch stumble over, or a class that it does not know
        raise DataError(f"{root / 'meta.bin'} does not describe the folders of {root} ({error!r}); remove it") from None
    count = Counter(firsts)
    return tuple(
        first if count[first] == 1 else f"{first} ({folder})" for first, folder in zip(firsts, folders, strict=True)
    )
