"""Of any tree of folders with any names, each file is used or left out with its reason, whoever reads it."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from ddnn.data.folder import FileImages, open_folder
from ddnn.data.shards.making import make_shards
from ddnn.errors import DataError
from ddnn_runtime.image_files import found_files, is_hidden

LETTERS = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
NAMES = st.text(LETTERS, min_size=1, max_size=5).filter(lambda name: name not in (".", ".."))
ENDINGS = st.sampled_from(["", ".png", ".JPG", ".jfif", ".avif", ".heic", ".txt", ".db"])
FILES = st.builds(lambda folders, name, ending: (*folders, name + ending), st.lists(NAMES, max_size=2), NAMES, ENDINGS)
LAYOUTS = st.sampled_from([(), ("train", "val"), ("Training", "Testing"), ("train", "valid", "TEST")])


@st.composite
def trees(draw):
    """Paths of files: two of each class in each split, and others anywhere."""
    splits, classes = draw(LAYOUTS), draw(st.lists(NAMES, min_size=2, max_size=3, unique=True))
    tops = [(split, name) for split in splits for name in classes] or [(name,) for name in classes]
    paths = [(*top, f"{number}.png") for top in tops for number in range(2)]
    for more in draw(st.lists(FILES, max_size=6)):
        paths.append((*draw(st.sampled_from([(), *tops, *((split,) for split in splits)])), *more))
    return paths


def planted(root, paths):
    """Make the files that can be made; gives those that are not hidden."""
    for path in paths:
        try:
            file = root.joinpath(*path)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        except OSError:  # a file where a folder should be, or a name too long
            continue
    files = {path for path in root.rglob("*") if path.is_file()}
    return {str(file) for file in files if not any(map(is_hidden, file.relative_to(root).parts))}


@settings(max_examples=30, deadline=None)
@given(trees())
def test_used_and_left_out_are_what_is_there(paths):
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "images")
        there = planted(root, paths)
        _check_folder(root, there)
        images, left_out = found_files([root])
        assert sorted([*map(str, images), *(path for path, _ in left_out)]) == sorted(there)


def _paths(split):
    assert isinstance(split.images, FileImages)
    return [split.images.paths[place] for place in split.indices]


def _check_folder(root, there):
    """What training, an evaluation and shards take."""
    try:
        source = open_folder(root)
        splits = [source.split(name) for name in source.splits]
        made = make_shards(root, root.parent / "shards")
    except DataError:
        return  # refused, which is said
    used = [
        split.images.paths[place] for split in splits for place in split.indices if isinstance(split.images, FileImages)
    ]
    left_out = [path for path, _ in (*source.left_out(), *(one for split in splits for one in split.left_out))]
    assert sorted([*used, *left_out]) == sorted(there)
    whole = source.as_one()
    if source.undivided is not None:
        split = whole.split("test")
        assert len(split) + len(split.left_out) == len(there)
    assert made.to_json()["images"] + len(made.to_json()["left_out"]) == len(there)
