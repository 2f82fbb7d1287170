"""Which parquet files are which split: as Hugging Face's `datasets` writes them, and as a clone of a Hub repository
has them. Every file of a folder is used, or named as left out; a missing one of several is refused.
"""

import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ddnn.errors import DataError
from ddnn.formats.safe_yaml import parse_yaml

EXPECTED: Final = "expected train.parquet and test.parquet (or shards such as train-00000-of-00002.parquet)"
SPLIT_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing"),
}
"""What each split may be called, in lower or upper case."""

_OF_MANY = re.compile(r"(?P<stem>.*)-(?P<number>\d{4,6})-of-(?P<count>\d{4,6})(-[0-9a-f]+)?", re.DOTALL)
_SHOWN = 5

Files = Mapping[str, list[Path]]
"""The files of each split that there is, in order."""


def find_files(root: Path) -> Files:
    """The parquet files of each split.

    Looked for in this order, until there are some: in the folder itself; where the README.md of a Hub repository says
    they are; in data/; in folders that are called like splits; in the only other folder that has some.

    Raises:
        DataError: there are none, several folders have some, or one of several shards is missing.
    """
    found = _in_folder(root) or _of_readme(root) or _in_folder(root / "data") or _in_split_folders(root)
    found = found or _in_only_folder(root)
    if not found:
        raise DataError(f"{root} has no images: {EXPECTED}")
    return {split: found[split] for split in SPLIT_NAMES if split in found}


def split_called(name: str) -> str | None:
    """The split that is called so.

    >>> split_called("Training"), split_called("dev"), split_called("other")
    ('train', 'validation', None)
    """
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def _in_folder(folder: Path) -> dict[str, list[Path]]:
    """The files of a folder whose names begin with that of a split."""
    whole, shards = defaultdict[str, list[Path]](list), defaultdict[str, list[Path]](list)
    files = _parquet_files(folder)
    for path in files:
        name = path.name[: -len(".parquet")]
        if split := split_called(name):
            whole[split].append(path)
        elif split := split_called(re.split(r"[-_.]", name)[0]):
            shards[split].append(path)
    found = {split: whole[split][:1] or shards[split] for split in SPLIT_NAMES if split in whole or split in shards}
    return _checked(found, files)


def _in_split_folders(root: Path) -> dict[str, list[Path]]:
    """The files of folders that are called like splits, as the Hub's own conversions have them."""
    found = defaultdict[str, list[Path]](list)
    for folder in _folders(root):
        if split := split_called(folder.name):
            found[split] += _parquet_files(folder)
    return _checked({split: files for split, files in found.items() if files})


def _in_only_folder(root: Path) -> dict[str, list[Path]]:
    inside = {folder: _in_folder(folder) or _in_split_folders(folder) for folder in _folders(root)}
    having = [folder for folder, found in inside.items() if found]
    if len(having) > 1:
        raise DataError(
            f"{root} has several data sets, in {_some(having)}: name the one that is meant, as in parquet:{having[0]}"
        )
    return inside[having[0]] if having else {}


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def _parquet_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.name.lower().endswith(".parquet") and not path.name.startswith(".") and path.is_file()
    )


def _checked(found: dict[str, list[Path]], files: Iterable[Path] = ()) -> dict[str, list[Path]]:
    """Refuse splits of which a part is missing, and name the files that are not used."""
    for split, own in found.items():
        _check_complete(split, own)
    left = [path for path in files if all(path not in own for own in found.values())]
    if found and left:
        warnings.warn(
            f"{_some(left)} left out: the files of a split are called {', '.join(SPLIT_NAMES)}, or begin so, and "
            "train.parquet goes before train-….parquet",
            stacklevel=2,
        )
    return found


def _check_complete(split: str, files: Sequence[Path]) -> None:
    """Refuse a split that is not one whole set of -00000-of-0000N."""
    parts = [(path, match) for path in files if (match := _OF_MANY.fullmatch(path.stem))]
    sets = defaultdict[tuple[Path, str, int], list[int]](list)
    for path, match in parts:
        sets[path.parent, match["stem"], int(match["count"])].append(int(match["number"]))
    for (folder, stem, count), numbers in sets.items():
        there = f"{folder} has {_numbers(sorted(numbers))} of the {count} files {stem}-…-of-{count:05d}.parquet"
        if missing := sorted(set(range(count)) - set(numbers)):
            raise DataError(f"{there}; {_numbers(missing)} missing: download the {split} split again")
        if len(numbers) > count:
            raise DataError(f"{there}, some twice: keep one file of each number, or images count twice")
    if len({(folder, stem) for folder, stem, _ in sets}) < len(sets):
        raise DataError(f"{files[0].parent} has the {split} split twice, in {_some(files)}: keep one of them")


def _numbers(numbers: Sequence[int]) -> str:
    shown = ", ".join(f"{number:05d}" for number in numbers[:_SHOWN])
    return shown + (f" and {len(numbers) - _SHOWN} more" if len(numbers) > _SHOWN else "")


def _some(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths[:_SHOWN])) + (f" and {len(paths) - _SHOWN} more" if len(paths) > _SHOWN else "")


def read_card(root: Path) -> Mapping[str, Any]:
    """What the README.md of a Hub repository says between its first two lines of dashes; nothing if it has none."""
    try:
        text = (root / "README.md").read_text(encoding="utf-8-sig")
        document = parse_yaml(text.split("\n---", 1)[0].removeprefix("---")) if text.startswith("---\n") else None
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _of_readme(root: Path) -> dict[str, list[Path]]:
    """The files that the README of a Hub repository names, of its only configuration or the default one."""
    configs = [entry for entry in _dicts(read_card(root).get("configs")) if _patterns(entry.get("data_files"))]
    usual = [entry for entry in configs if entry.get("default") is True or entry.get("config_name") == "default"]
    chosen = usual[:1] or configs
    found = [_globbed(root, _patterns(entry["data_files"])) for entry in chosen]
    if len([files for files in found if files]) > 1:
        names = ", ".join(str(entry.get("config_name")) for entry in chosen)
        raise DataError(
            f"{root / 'README.md'} names several data sets ({names}): name the folder of the one that is meant, as in "
            f"parquet:{next(iter(found[0].values()))[0].parent}"
        )
    return _checked(next((files for files in found if files), {}))


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _patterns(data_files: Any) -> dict[str, list[str]]:
    """The patterns of each split."""
    found = defaultdict[str, list[str]](list)
    for entry in _dicts(data_files):
        split, paths = split_called(str(entry.get("split"))), entry.get("path")
        if split:
            found[split] += [str(path) for path in (paths if isinstance(paths, list) else [paths])]
    return found


def _globbed(root: Path, patterns: Mapping[str, list[str]]) -> dict[str, list[Path]]:
    inside = {
        split: [pattern for pattern in some if not Path(pattern).is_absolute() and ".." not in Path(pattern).parts]
        for split, some in patterns.items()
    }
    found = {
        split: sorted({path for pattern in some for path in root.glob(pattern) if path.suffix == ".parquet"})
        for split, some in inside.items()
    }
    return {split: files for split, files in found.items() if files}
