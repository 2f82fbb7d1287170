"""Classes of two data sets, or of a data set and a network, compared by name and never by number alone.

Names that look alike are alike: Unicode writes "é" in two ways (macOS in one, all others in the other), and people
write Cat and cat. Where two names look alike and are not, the difference is shown.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ddnn.errors import DataError
from ddnn.formats.safe_yaml import UnusableYaml, read_yaml
from ddnn_runtime.image_files import printable

_NAMED = 5
ClassesFrom = str | Mapping[str, str | None]
"""A mapping from the data's names to the network's, or the path of a file with one; None leaves a class out."""


def alike(name: str) -> str:
    """What names that look alike have in common: without case, outer and double blanks, and what cannot be seen, and in
    one of Unicode's normal forms (UAX 15, NFKC).

    >>> alike(" Caf\\u00e9 au\\u00a0Lait") == alike("cafe\\u0301 au  lait"), alike("cat") == alike("cats")
    (True, False)
    """
    seen = "".join(one for one in unicodedata.normalize("NFKC", name) if unicodedata.category(one) != "Cf")
    return unicodedata.normalize("NFKC", " ".join(seen.casefold().split()))


def shown(name: str) -> str:
    """A class name for a message; where it may look like another, with what it is made of.

    >>> shown("cat"), shown("cat "), shown("\\u0441at")
    ('cat', "'cat '", "\u0441at ('\\\\u0441at')")
    """
    blanks, letters = name != " ".join(name.split()) or not name, [one for one in name if one.isalpha()]
    mixed = len({one.isascii() for one in letters}) > 1
    if blanks or not name.isprintable() or unicodedata.normalize("NFKC", name) != name:
        return ascii(name)
    return f"{name} ({name!a})" if mixed else name


def listed(names: Iterable[str]) -> str:
    """A few names, for a message."""
    names = list(names)
    return ", ".join(map(shown, names[:_NAMED])) + (", ..." if len(names) > _NAMED else "")


def places(names: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """Where each name is among those that are known: the same one, or else the only one that looks alike; None for
    strangers.

    >>> places(["Dog", "cat", "bird"], ["cat", "dog"])
    [1, 0, None]
    """
    exact = {name: place for place, name in enumerate(known)}
    looks: dict[str, int | None] = {}
    for place, name in enumerate(known):
        looks[alike(name)] = None if alike(name) in looks else place
    return [exact.get(name, looks.get(alike(name))) for name in names]


def twins(names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names that look alike.

    >>> twins(["Cat", "cat", "dog"])
    [('Cat', 'cat')]
    """
    first: dict[str, str] = {}
    return [(other, name) for name in names if (other := first.setdefault(alike(name), name)) != name]


def to_network(
    source: str, names: Sequence[str], network: Sequence[str], named: bool, given: ClassesFrom | None = None
) -> np.ndarray:
    """The network's class of each class of the data.

    Args:
        source: what messages call the data.
        names: its classes, in label order.
        network: those of the network, in label order.
        named: whether the data's are names; else they are numbers that stand for labels.
        given: which name means which; those that it does not mention are compared as they are.

    Returns:
        int64 of shape (classes of the data,); -1 for classes that `given` leaves out.

    Raises:
        DataError: some are none of the network's, or neither side has names and the counts differ.
    """
    mapping = {} if given is None else _mapping(given, names)
    _check_mapping(mapping, names, network)
    if not named and given is None and _are_numbers(network) and len(names) != len(network):
        raise DataError(
            f"{source} has {len(names)} classes, but the network was trained on {len(network)}, and both have numbers "
            "instead of names: use data with the network's classes, or say with --classes_from which is which"
        )
    wanted = [mapping.get(name, name) for name in names]
    found = places([name or "" for name in wanted], network)
    rows = list(zip(names, wanted, found, strict=True))
    strangers = [own for own, name, place in rows if name is not None and place is None]
    if strangers:
        raise DataError(_strangers(source, names, network, strangers, named))
    return np.array([-1 if name is None else place for _, name, place in rows], dtype=np.int64)


def _strangers(source: str, names: Sequence[str], network: Sequence[str], strangers: Sequence[str], named: bool) -> str:
    missing = [known for known, at in zip(network, places(network, names), strict=True) if at is None]
    lacking = f", and lacks {listed(missing)}" if missing else ""
    text = (
        f"{source} has {len(names)} classes, but the network was trained on {len(network)}, and "
        f"{len(strangers)} of the data's are none of the network's: {listed(strangers)}{lacking}"
    )
    if not named and not _are_numbers(network):
        return f"{text}. The data has numbers, not names: give --classes_from FILE, with a name a line in their order"
    return (
        f"{text}. Say with --classes_from which of the network's classes they are, as in "
        f"--classes_from '{{{strangers[0] if strangers[0].isprintable() else 'NAME'}: {network[0]}}}' "
        "(null leaves a class out), or use data with the network's classes"
    )


def _check_mapping(mapping: Mapping[str, str | None], names: Sequence[str], network: Sequence[str]) -> None:
    for what, given, known in (
        ("names classes that the data has not", list(mapping), names),
        ("leads to classes that the network has not", [name for name in mapping.values() if name is not None], network),
    ):
        unknown = [name for name, place in zip(given, places(given, known), strict=True) if place is None]
        if unknown:
            raise DataError(f"classes_from {what}: {listed(unknown)}; it has {listed(known)}")


def _mapping(given: ClassesFrom, names: Sequence[str]) -> dict[str, str | None]:
    """The mapping with the data's own spelling of the names."""
    pairs = read_classes_from(Path(given), names) if isinstance(given, str) else dict(given)
    at = places(list(pairs), names)
    return {key if place is None else names[place]: pairs[key] for key, place in zip(pairs, at, strict=True)}


def read_classes_from(path: Path, names: Sequence[str]) -> dict[str, str | None]:
    """A mapping from a file: YAML or JSON, or lines with the network's name for each class, in the data's order.

    Raises:
        DataError: the file is missing, damaged or neither of them.
    """
    try:
        if path.suffix.lower() in (".yaml", ".yml", ".json"):
            document = read_yaml(path.expanduser())
            if not isinstance(document, dict):
                raise DataError(f"classes_from {path} must be a mapping from the data's classes to the network's")
            return {str(key): None if value is None else str(value) for key, value in document.items()}
        lines = path.expanduser().read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError, UnusableYaml) as error:
        raise DataError(f"classes_from {printable(str(path))} cannot be read: {error}") from None
    found = [line.strip() for line in lines if line.strip()]
    if len(found) != len(names):
        raise DataError(
            f"classes_from {path} has {len(found)} lines, and the data {len(names)} classes: it takes a line for each, "
            "or, called .yaml or .json, a mapping from names to names"
        )
    return dict(zip(names, found, strict=True))


def _are_numbers(names: Sequence[str]) -> bool:
    """Whether these are the names that classes get which have none."""
    return list(names) == [str(number) for number in range(len(names))]
